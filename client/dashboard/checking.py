"""The data check, made in a thread: it reads the records, which can take long, and sends nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from common.errors import FedcganError, StorageError

from ..finding import Finding
from ..preflight import CHECKS, Preflight, ready


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the site, or of what it would be for a plan.

    plan: its hash, or empty; findings: those made so far; ended: when (UTC), None while it goes on
    problem: why it could not be made at all
    """

    plan: str
    began: datetime
    findings: tuple[Finding, ...] = ()
    ended: datetime | None = None
    problem: FedcganError | None = None

    @property
    def total(self) -> int:
        """How many there are to be."""
        return len(CHECKS)

    @property
    def ready(self) -> bool:
        """Whether nothing failed."""
        return self.problem is None and ready(list(self.findings))

    @property
    def next(self) -> str:
        """The check that is being made."""
        return CHECKS[len(self.findings)] if len(self.findings) < self.total else ""


@dataclass(slots=True)
class Checking:
    """At most one check at a time; the last one stays to be read. Of any number of threads."""

    folder: Path
    last: Check | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, plan: str = "") -> None:
        """Begin one, unless one goes on. plan: the hash of a plan of this site, or empty"""
        with self._lock:
            if self.last is not None and self.last.ended is None:
                return
            self.last = check = Check(plan, _now())
        threading.Thread(target=self._run, args=(check,), daemon=True).start()

    def _run(self, check: Check) -> None:
        problem: FedcganError | None = StorageError("the check failed", hint="the terminal says where")
        try:
            for finding in Preflight.of(self.folder, check.plan or None).each():
                check = self.last = replace(check, findings=(*check.findings, finding))
            problem = None
        except FedcganError as error:
            problem = error
        finally:  # whatever happened, it goes on no more
            self.last = replace(check, ended=_now(), problem=problem)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
