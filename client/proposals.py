"""Where the plans of a site stand: proposed by the coordinator, approved or refused by the data steward.

proposed/HASH.json         a plan as it came; proposed/HASH.schema.json its schema (canonical JSON both)
approved/HASH.json         the same bytes, once the steward said yes
refused/HASH.json          when and why the steward said no, for the site alone
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from common.crypto.secret_file import read_secret, write_secret
from common.durable import sync_folder
from common.errors import ConfigError, ProposalError, StorageError, UnknownPlanError
from common.events import PlanStands
from common.plan import Plan
from common.schema import Schema

from .noted import note

MOST_PENDING = 64
"""Plans that may wait for an answer: more are not taken in, so that none can push another out."""

LEAST_DIGITS = 8
"""Of a hash, for people."""

Standing = Literal["unknown", "pending", "approved", "refused"]

_HASH = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},64}}")


class _Refusal(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    time: str
    reason: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan at this site.

    plan: None if the file is damaged or of another version; time: when it came to stand so (UTC, ISO);
    reason: the steward's own, of a refusal
    """

    hash: str
    standing: Standing
    plan: Plan | None
    time: str
    reason: str = ""


class Proposals:
    """The plans of one site's folder.

    Guarantees: every change is on disk when its method returns, and a crash leaves the old or the new state,
    never one that allows more. A refused plan stays refused; an approval can be withdrawn by refusing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._proposed, self._approved, self._refused = (
            folder / name for name in ("proposed", "approved", "refused")
        )

    def propose(self, plan: Plan, schema: bytes) -> Standing:
        """Keep a plan for the steward to read. Returns where it stands now; again, it changes nothing.

        schema: canonical JSON. The caller has checked who proposes it.
        Raises ProposalError if the schema is not the plan's, or too many plans wait.
        """
        self._check_schema(plan, schema)
        with self._locked():
            now = self.standing(plan.hash)
            if now != "unknown":
                return now
            if sum(self.standing(other) == "pending" for other in self._hashes()) >= MOST_PENDING:
                raise ProposalError(
                    f"{MOST_PENDING} plans wait for this site's answer, it takes in no more",
                    hint="its data steward must approve or refuse some of them first",
                )
            # the plan comes last: with it the proposal is whole
            write_secret(self._proposed / f"{plan.hash}.schema.json", schema)
            write_secret(self._proposed / f"{plan.hash}.json", plan.to_json())
        note(self.folder, PlanStands(plan=plan.hash, run=plan.run, standing="pending"))
        return "pending"

    def approve(self, known: str) -> Plan:
        """Say yes to a proposed plan. known: its hash, or the beginning of it.

        Raises UnknownPlanError; ProposalError if it was refused before; StorageError if it is damaged.
        """
        with self._locked():
            plan_hash = self.find(known)
            if self.standing(plan_hash) == "refused":
                raise ProposalError(
                    f"plan {plan_hash[:12]} was refused at this site, and stays so",
                    hint="ask the coordinator for a new plan",
                )
            plan = self.plan(plan_hash)
            if self.standing(plan_hash) != "approved":
                write_secret(self._approved / f"{plan_hash}.json", plan.to_json())
        note(self.folder, PlanStands(plan=plan.hash, run=plan.run, standing="approved"))
        return plan

    def refuse(self, known: str, reason: str) -> str:
        """Say no to a plan, or take an approval back: nothing more is done for it. Returns its hash.

        reason: for the site alone. Raises UnknownPlanError.
        """
        with self._locked():
            plan_hash = self.find(known)
            approved = self._approved / f"{plan_hash}.json"
            if approved.exists():
                if not (self._proposed / approved.name).exists():
                    write_secret(self._proposed / approved.name, approved.read_bytes())
                # first of all it is approved no more, whatever happens next
                approved.unlink()
                sync_folder(self._approved)
            if self.standing(plan_hash) != "refused":
                refusal = _Refusal(time=_now(), reason=reason)
                write_secret(self._refused / approved.name, refusal.model_dump_json().encode())
        readable = self._readable(plan_hash)
        run = readable.run if readable else ""
        note(self.folder, PlanStands(plan=plan_hash, run=run, standing="refused"))
        return plan_hash

    def standing(self, plan_hash: str) -> Standing:
        """Where the plan with this very hash stands."""
        if not _HASH.fullmatch(plan_hash):
            return "unknown"
        name = f"{plan_hash}.json"
        if (self._refused / name).exists():
            return "refused"
        if (self._approved / name).exists():
            return "approved"
        return "pending" if (self._proposed / name).exists() else "unknown"

    def find(self, known: str) -> str:
        """The full hash that begins with ``known``, LEAST_DIGITS or more. Raises UnknownPlanError."""
        wanted = known.lower()
        if not _PREFIX.fullmatch(wanted):
            raise UnknownPlanError(
                f"{known!r} is not a plan's hash",
                hint=f"its first {LEAST_DIGITS} hexadecimal digits are enough",
            )
        found = [plan_hash for plan_hash in self._hashes() if plan_hash.startswith(wanted)]
        if len(found) != 1:
            several = f"{len(found)} plans at this site begin with {wanted}"
            raise UnknownPlanError(
                several if found else f"there is no plan {wanted[:12]} at this site",
                hint="fedcgan site plans FOLDER lists them",
            )
        return found[0]

    def plan(self, plan_hash: str) -> Plan:
        """The plan with this very hash. Raises UnknownPlanError or StorageError."""
        for folder in (self._approved, self._proposed):
            path = folder / f"{plan_hash}.json"
            if not path.exists():
                continue
            try:
                plan = Plan.from_json(path.read_bytes())
            except ConfigError as error:
                raise StorageError(
                    f"the plan {plan_hash[:12]} is damaged, or of another version of fedcgan",
                    hint=f"refuse it, and ask for a new plan ({path})",
                ) from error
            if plan.hash != plan_hash:
                raise StorageError(f"the plan {plan_hash[:12]} was altered on disk", hint=str(path))
            return plan
        raise UnknownPlanError(f"there is no plan {plan_hash[:12]} at this site")

    def schema(self, plan: Plan) -> Schema | None:
        """The schema that came with a plan, None if none did. Raises StorageError if it is another."""
        path = self._proposed / f"{plan.hash}.schema.json"
        if not path.exists():
            return None
        schema = Schema.from_json(read_secret(path))
        if schema.hash != plan.schema_hash:
            raise StorageError(f"the schema of plan {plan.hash[:12]} was altered on disk", hint=str(path))
        return schema

    def every(self) -> list[Proposal]:
        """All plans of this site, the latest change last."""
        return sorted(map(self._entry, self._hashes()), key=lambda entry: (entry.time, entry.hash))

    def last_approved(self, before: str = "") -> Plan | None:
        """The plan approved last; of those that can still be read, and are still approved.

        before: a hash; if that plan is approved itself, only approvals older than its own count
        """
        at = {path.stem: path.stat().st_mtime_ns for path in self._files(self._approved)}
        limit = at.pop(before, None)
        names = [name for name in at if limit is None or (at[name], name) < (limit, before)]
        for name in sorted(names, key=lambda name: (at[name], name), reverse=True):
            if (plan := self._readable(name)) is not None:
                return plan
        return None

    def _entry(self, plan_hash: str) -> Proposal:
        standing, reason = self.standing(plan_hash), ""
        folder = {"approved": self._approved, "refused": self._refused}.get(standing, self._proposed)
        path = folder / f"{plan_hash}.json"
        time = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        if standing == "refused":
            try:
                refusal = _Refusal.model_validate_json(path.read_bytes())
                time, reason = refusal.time, refusal.reason
            except ValueError:  # damaged: it is refused all the same
                reason = "(the reason cannot be read)"
        return Proposal(plan_hash, standing, self._readable(plan_hash), time, reason)

    def _readable(self, plan_hash: str) -> Plan | None:
        try:
            return self.plan(plan_hash)
        except (StorageError, UnknownPlanError):
            return None

    def _hashes(self) -> list[str]:
        folders = (self._proposed, self._approved, self._refused)
        return sorted({path.stem for folder in folders for path in self._files(folder)})

    @staticmethod
    def _files(folder: Path) -> list[Path]:
        return [path for path in folder.glob("*.json") if _HASH.fullmatch(path.stem)]

    @staticmethod
    def _check_schema(plan: Plan, schema: bytes) -> None:
        read = Schema.from_json(schema)
        if read.hash != plan.schema_hash:
            raise ProposalError("the schema sent is not the schema of the plan")
        if read.unit != plan.privacy.unit:
            raise ProposalError(
                f"the plan protects {plan.privacy.unit!r}, the schema needs {read.unit!r}",
                hint="a schema that names a subject is for plans that protect the subject",
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time. A lock of its own: the vault holds the site's while it is asked."""
        with open(self.folder / ".proposals.lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
