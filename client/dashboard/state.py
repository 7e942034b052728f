"""What the pages of a site's dashboard show, read from its folder as it is and kept no longer than it holds.

Nothing here takes the site's own lock: the vault answers while pages are made.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

from common.errors import FedcganError

from ..door import listens
from ..membership import courier_folder
from ..outbox_index import OutboxIndex
from ..own_site import site_in
from ..plan_reading import read
from ..proposals import Proposal, Proposals
from ..spending import Spending, spending
from ..verification import Verified, verify
from .checking import Checking
from .followed import Followed
from .later import Later
from .releases import Releases

_KEPT = 5.0  # seconds after which plans are read again, changed or not
_LOOK = 3.0  # seconds between two looks at the vault's door


class State:
    """Of the site in a folder, for any number of threads.

    Raises ConfigError unless the folder is a site's and ours (``own_site``).
    """

    def __init__(self, folder: Path) -> None:
        self.site = site_in(folder)
        self.folder = self.site.folder
        self.outbox, self.events = OutboxIndex(self.folder), Followed(self.folder)
        self.checking, self.releases = Checking(self.folder), Releases(self.site)
        self.spending: Later[Spending] = Later(lambda: spending(self.site))
        self.verified: Later[Verified] = Later(lambda: verify(self.site))
        self._lock = threading.Lock()
        self._plans: tuple[object, list[Proposal]] = (None, [])
        self._read: set[str] = set()
        self._vault: tuple[float, bool] = (float("-inf"), False)

    def warm(self) -> None:
        """Read what takes long before anybody waits for it; what is damaged, its page will say."""
        for work in (
            self.outbox.refresh,
            self.events.refresh,
            lambda: self.spending.get(self.spent_key, 60),
            lambda: self.plans,
            lambda: self.releases.every(0.0),
        ):
            with suppress(FedcganError):
                work()

    @property
    def plans(self) -> list[Proposal]:
        """All plans, the latest change last."""
        folders = [self.folder / name for name in ("proposed", "approved", "refused")]
        changed = [path.stat().st_mtime_ns if path.exists() else 0 for path in folders]
        key = (*changed, time.monotonic() // _KEPT)  # two changes can fall into one tick of the clock
        known, found = self._plans
        if known != key:
            found = Proposals(self.folder).every()
            self._plans = key, found
            waiting = {entry.hash for entry in found if entry.standing == "pending"}
            if new := waiting - self._read:
                self._read |= new
                threading.Thread(target=self._account, args=(new,), daemon=True).start()
        return found

    def _account(self, plans: set[str]) -> None:
        """Reckon what plans would cost before anybody asks: that takes long, but only once."""
        for plan in plans:
            with suppress(FedcganError, OSError):  # its page says what is wrong
                read(self.site, plan)

    @property
    def runs(self) -> dict[str, str]:
        """The names of the runs that are known here, by the hash of their plan."""
        return {entry.hash: entry.plan.run for entry in self.plans if entry.plan}

    @property
    def spent_key(self) -> object:
        """Another one after every charge, and after a change of the policy."""
        paths = [self.folder / name for name in ("ledger.jsonl", "ledger.head", "policy.toml")]
        return tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths if path.exists())

    @property
    def simulated(self) -> bool:
        """Whether the site has no courier: it has never joined, its vault is no process of its own."""
        return not courier_folder(self.folder).is_dir()

    @property
    def vault_runs(self) -> bool:
        """Whether a vault listens, as of at most three seconds ago."""
        with self._lock:
            looked, found = self._vault
            if time.monotonic() - looked > _LOOK:
                found = listens(courier_folder(self.folder))
                self._vault = time.monotonic(), found
            return found
