"""What a site keeps, in one folder of its own: identity, policy, approvals, ledger, keys, answers.

identity.key        Ed25519, mode 0600
holdout.key         by which it chooses who is kept out of training, mode 0600
policy.toml         where the records are and the most that may ever be spent on them
ledger.jsonl        everything ever spent; ledger.head how far it goes
approved/HASH.json  plans this site said yes to
runs/HASH/          keys and answers of a run, mode 0700
rehearsals/HASH/    the same of the last rehearsal, on made-up records, with a ledger of its own
releases/           bundles that the coordinator sent, put there by the steward, for the dashboard
site.log            what happened, for the site's own eyes
"""

from __future__ import annotations

import fcntl
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from common.crypto.identity import Identity
from common.crypto.secret_file import write_secret
from common.errors import ConfigError, NotApprovedError
from common.holdout import make_site_key, site_key
from common.plan import Plan
from common.privacy.ledger import Cap, Ledger
from common.toml_file import read_model

_HASH = re.compile(r"[0-9a-f]{64}")


class Policy(BaseModel):
    """A site's own rules, which no coordinator can change.

    records: CSV or Parquet file, relative to the site's folder
    allow_identified: take DICOM and EDF files that carry somebody's identity, which is never read
    device: on which gradients are computed: auto (a GPU if there is one), cpu, cuda, cuda:1, …
    dataset: a name for these records that nothing else has, 32 hexadecimal digits; the ledger bears it
    epsilon_cap, delta: the most that all runs together may spend on these records
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    records: str
    dataset: str = Field(pattern=r"^[0-9a-f]{32}$")
    allow_identified: bool = False
    device: str = "auto"
    epsilon_cap: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)

    @property
    def cap(self) -> Cap:
        """The cap as the ledger takes it."""
        return Cap(epsilon=self.epsilon_cap, delta=self.delta)


class _Line(logging.FileHandler):
    """Keeps no file open: a simulation has hundreds of sites in one process."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        self.close()


class Site:
    """A site's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self._ledger: Ledger | None = None

    @property
    def ledger(self) -> Ledger:
        """The ledger of the records that the policy names. Raises ConfigError."""
        dataset = self.policy.dataset
        if self._ledger is None or self._ledger.dataset != dataset:
            self._ledger = Ledger(self.folder / "ledger.jsonl", dataset)
        return self._ledger

    @cached_property
    def identity(self) -> Identity:
        """The site's signing key. Raises CryptoError if it is lost."""
        return Identity.load(self.folder / "identity.key")

    @property
    def policy(self) -> Policy:
        """The site's rules. Raises ConfigError."""
        return read_model(Policy, self.folder / "policy.toml", ConfigError)

    @property
    def holdout_key(self) -> str:
        """The secret by which it chooses who is kept out of training. Raises CryptoError."""
        return site_key(self.folder)

    @property
    def records(self) -> Path:
        """Where the records are."""
        return self.folder / self.policy.records

    def check_approved(self, plan_hash: str) -> Path:
        """Where an approved plan lies. Raises NotApprovedError."""
        known = _HASH.fullmatch(plan_hash) is not None  # else it is no part of a path
        approved = self.folder / "approved" / f"{plan_hash}.json"
        path = approved if known and approved.exists() else self._rehearsed(plan_hash)
        if not known or not path.exists():
            raise NotApprovedError(
                f"plan {plan_hash[:12]} was not approved at this site",
                hint="a plan runs only where it was approved",
            )
        return path

    def approved(self, plan_hash: str) -> Plan:
        """An approved plan. Raises NotApprovedError."""
        path = self.check_approved(plan_hash)
        plan = Plan.from_json(path.read_bytes())
        if plan.hash != plan_hash or plan.rehearsal != (path == self._rehearsed(plan_hash)):
            raise NotApprovedError(f"the approved plan {plan_hash[:12]} was altered on disk")
        return plan

    def _rehearsed(self, plan_hash: str) -> Path:
        return self.folder / "rehearsals" / plan_hash / "plan.json"

    def ledger_of(self, plan: Plan) -> Ledger:
        """The ledger that a plan is charged to: a rehearsal has one of its own. Raises ConfigError."""
        if not plan.rehearsal:
            return self.ledger
        ledger = self.ledger_of_rehearsal(plan.hash)
        ledger.create()
        return ledger

    def ledger_of_rehearsal(self, plan_hash: str) -> Ledger:
        """The ledger of a rehearsal, which may not have been made yet."""
        return Ledger(self.folder / "rehearsals" / plan_hash / "ledger.jsonl", dataset=plan_hash[:32])

    def cap_of(self, plan: Plan) -> Cap:
        """The most that may be spent in that ledger. Raises ConfigError."""
        if not plan.rehearsal:
            return self.policy.cap
        return Cap(epsilon=plan.privacy.epsilon, delta=plan.privacy.delta)

    def run_folder(self, plan_hash: str) -> Path:
        """Keys and answers of a run."""
        rehearsed = self.folder / "rehearsals" / plan_hash
        return rehearsed if rehearsed.exists() else self.folder / "runs" / plan_hash

    def rehearse(self, plan: Plan) -> None:
        """Make room for a rehearsal, and end those before it."""
        folder = self.folder / "rehearsals"
        for path in list(folder.glob("*")):
            if path.name != plan.hash:
                shutil.rmtree(path)
        write_secret(self._rehearsed(plan.hash), plan.to_json())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One message at a time, whichever process carries it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self.folder / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @cached_property
    def log(self) -> logging.Logger:
        """The site's own log; holds codes and steps, never values of records."""
        logger = logging.getLogger(f"fedcgan.site.{self.folder}")
        logger.propagate = False
        logger.setLevel(logging.INFO)
        if not logger.handlers:
            handler = _Line(self.folder / "site.log", delay=True)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            logger.addHandler(handler)
        return logger


def found(folder: Path) -> str:
    """Set up a site's folder, in which there is a policy: its two secrets and an empty ledger.

    Only here are they made: a lost one must be noticed, not replaced.

    Returns its public key. Raises ConfigError.
    """
    site = Site(folder)
    site.ledger.create()
    Identity.load_or_create(folder / "identity.key")
    make_site_key(folder)
    return site.identity.public


def approve(folder: Path, plan: Plan) -> str:
    """Approve a plan that nobody proposed, as whoever simulates a site does. Returns the hash approved."""
    write_secret(folder / "approved" / f"{plan.hash}.json", plan.to_json())
    return plan.hash
