"""Whether a site acts at all: a pause that its data steward can end, or its farewell for good.

Each is a file in the site's folder, ``paused`` or ``withdrawn``, that the vault looks for before it acts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from common.crypto.secret_file import write_secret
from common.durable import sync_folder
from common.errors import ConfigError, PausedError, WithdrawnError
from common.events import SiteActs

from .noted import note
from .site import Site

_PAUSED, _WITHDRAWN = "paused", "withdrawn"


class Marker(BaseModel):
    """A pause or a farewell. time: UTC, ISO; reason: the steward's, never sent"""

    model_config = ConfigDict(frozen=True, extra="forbid")
    time: str
    reason: str


def check(folder: Path) -> None:
    """Raise PausedError or WithdrawnError unless the site in ``folder`` may act. They name no reason."""
    if (folder / _WITHDRAWN).exists():
        raise WithdrawnError(
            "the site has left the federation", hint="plan new runs without it; its keys of all runs are gone"
        )
    if (folder / _PAUSED).exists():
        raise PausedError(
            "the site is paused by its data steward",
            hint="it answers again when its steward lets it; what was finished is kept",
        )


def state(folder: Path) -> tuple[Literal["active", "paused", "withdrawn"], Marker | None]:
    """How the site stands, and what its steward wrote down; a marker that is damaged still counts."""
    if (folder / _WITHDRAWN).exists():
        return "withdrawn", _read(folder / _WITHDRAWN)
    if (folder / _PAUSED).exists():
        return "paused", _read(folder / _PAUSED)
    return "active", None


def pause(folder: Path, reason: str) -> None:
    """Answer nothing until ``unpause``. Raises ConfigError without a reason, WithdrawnError."""
    _refuse_withdrawn(folder)
    _mark(folder / _PAUSED, reason)
    Site(folder).log.info("paused by the steward: %r", reason)
    note(folder, SiteActs(state="paused"))


def unpause(folder: Path) -> bool:
    """Answer again. Returns whether the site was paused. Raises WithdrawnError."""
    _refuse_withdrawn(folder)
    was = (folder / _PAUSED).exists()
    if was:
        (folder / _PAUSED).unlink()
        sync_folder(folder)
        Site(folder).log.info("unpaused by the steward")
        note(folder, SiteActs(state="active"))
    return was


def withdraw(folder: Path, reason: str) -> list[Path]:
    """Leave for good: answer nothing any more, and remove the keys of all runs. Returns what was removed.

    Without its shares the site can never again help to open a sum. Answers, ledger and outbox stay: they say
    what was done. Files are removed, not overwritten; backups of them are the steward's.
    May be called again after a crash. Raises ConfigError without a reason.
    """
    if not (folder / _WITHDRAWN).exists():
        _mark(folder / _WITHDRAWN, reason)
    site = Site(folder)
    with site.locked():  # a vault in the middle of a message writes no key after this
        removed = remove(keys_of_runs(folder))
    note(folder, SiteActs(state="withdrawn"))
    site.log.info("withdrawn by the steward, %d keys removed: %r", len(removed), reason)
    return removed


def keys_of_runs(folder: Path) -> list[Path]:
    """The files that ``withdraw`` removes."""
    runs = [*sorted(folder.glob("runs/*")), *sorted(folder.glob("rehearsals/*"))]
    return [key for run in runs for key in keys_of(run)]


def keys_of(run: Path) -> list[Path]:
    """The keys in the folder of a run; also piece.key.new, which a crash can leave."""
    return sorted(run.glob("*.key*"))


def remove(paths: Iterable[Path]) -> list[Path]:
    """Unlink these files, durably: not from the disk's blocks. Returns them."""
    removed = []
    for path in paths:
        path.unlink()
        sync_folder(path.parent)
        removed.append(path)
    return removed


def _mark(path: Path, reason: str) -> None:
    if not reason.strip():
        raise ConfigError("a reason is needed", hint="it is for the site's own log and is never sent")
    marker = Marker(time=datetime.now(UTC).isoformat(timespec="seconds"), reason=reason)
    write_secret(path, marker.model_dump_json().encode())


def _refuse_withdrawn(folder: Path) -> None:
    if (folder / _WITHDRAWN).exists():
        raise WithdrawnError("the site has left the federation for good")


def _read(path: Path) -> Marker | None:
    try:
        return Marker.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
