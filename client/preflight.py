"""``fedcgan site check``: whether this site could take part, before anybody waits for it. No network."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from common.crypto.secret_file import read_secret
from common.errors import (
    DataError,
    FedcganError,
    NotReadyError,
    StorageError,
    TooFewRecordsError,
    TooManyRecordsError,
)
from common.holdout import KEY_FILE, new_key
from common.plain_text import plain
from common.plan import Plan
from common.records import Records
from common.schema import Schema, TableSchema

from . import machine_checks, standing
from .data import split_records
from .finding import Finding
from .membership import Membership
from .plan_costs import budget
from .proposals import Proposals
from .record_files import holding, open_to_all
from .site import Site

CHECKS = (
    "membership",
    "secrets",
    "clock",
    "schema",
    "counts",
    "budget",
    "disk",
    "memory",
    "device",
    "courier",
)
"""Ids of all checks, in order: stable, for programs."""

_MOST_SHOWN = 12  # classes of a condition


@dataclass(frozen=True)
class Preflight:
    """All checks of one site.

    plan: None if there is none yet; schema: None if none is known here; records: instead of the policy's
    """

    site: Site
    plan: Plan | None
    schema: Schema | None
    records: Path | None = None

    @classmethod
    def of(cls, folder: Path, plan: str | None = None, records: Path | None = None) -> Preflight:
        """The checks of the site in ``folder``. plan: a file, a hash, or the beginning of one.

        Raises UnknownPlanError, ConfigError or SchemaError.
        """
        site = Site(folder.absolute())
        found = None if plan is None else named_plan(site.folder, plan)
        return cls(site, found, known_schema(site, found), records)

    def findings(self) -> list[Finding]:
        """Every check in the order of CHECKS; none keeps another from being made."""
        return list(self.each())

    def each(self) -> Iterator[Finding]:
        """The same, one after the other as they are made: reading the records can take long."""
        return map(self._checked, CHECKS)

    def _checked(self, check: str) -> Finding:
        work: Callable[[], Finding] = getattr(self, f"_{check}")
        try:
            return work()
        except FedcganError as error:
            return Finding.of(check, error)
        except OSError as error:
            failed = StorageError(f"{error.filename}: {error.strerror}", hint="as the vault's own user?")
            return Finding.of(check, failed)

    @property
    def _folder(self) -> Path:
        return self.site.folder

    @cached_property
    def _joined(self) -> Membership | None:
        """Raises NotJoinedError or CryptoError if it is damaged, of another site, or open to others."""
        present = (self._folder / "membership.json").exists()
        return Membership.load(self._folder) if present else None

    def _membership(self) -> Finding:
        now, _ = standing.state(self._folder)
        if now == "withdrawn":
            return Finding.failed("membership", "this site has left the federation", "join anew")
        joined = self._joined
        if joined is None:
            return Finding("membership", "skipped", "this site has joined no federation (a simulated one?)")
        if self.plan is not None:
            check_for_site(self.plan, self.site)
        if now == "paused":
            return Finding("membership", "warning", "this site is paused", "fedcgan site unpause FOLDER")
        said = f"{joined.site} of {joined.federation}, coordinator {joined.coordinator.name}"
        return Finding("membership", "ok", f"{said} at {joined.address}")

    def _secrets(self) -> Finding:
        folder = self._folder
        for secret_file in (folder / "identity.key", folder / KEY_FILE):
            if not secret_file.exists():
                return Finding.failed("secrets", f"there is no {secret_file}", "restore it from a backup")
        patterns = ("*.key", "membership.json", "outbox*.jsonl", "runs/*/**/*", "rehearsals/*/**/*")
        files = [path for pattern in patterns for path in folder.glob(pattern)]
        secret = [path for path in files if path.is_file() and not path.is_symlink()]
        for path in (folder, *secret):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                right = "700" if path.is_dir() else "600"
                sentence = f"{path} is open to others (mode {mode:o})"
                return Finding.failed("secrets", sentence, f"chmod {right} {path}")
            if path.stat().st_uid != folder.stat().st_uid:
                return Finding.failed("secrets", f"{path} belongs to another user", "give it to the vault's")
        if (records := open_to_all(holding(self.records or self.site.records))) is not None:
            mode = stat.S_IMODE(records.stat().st_mode)
            sentence = f"{records} can be read by every user of this machine (mode {mode:o})"
            return Finding(
                "secrets", "warning", sentence, f"chmod o-rwx {records}: the courier is one of them"
            )
        return Finding("secrets", "ok", f"{len(secret)} secret files, the owner's alone")

    def _clock(self) -> Finding:
        return machine_checks.clock(self._folder, self._joined, datetime.now(UTC))

    @cached_property
    def _read(self) -> Records | None:
        """What a plan would train on; None where no schema is known. Raises DataError's kinds."""
        schema, path = self.schema, self.records or self.site.records
        if schema is None:
            return None
        holdout, allowed = self.plan.release.holdout if self.plan else 0.0, self.site.policy.allow_identified
        key = self.site.holdout_key if holdout else new_key()
        return split_records(path, schema, holdout, key, allow_identified=allowed).training

    def _schema(self) -> Finding:
        if self.plan is not None and self.schema is not None and self.plan.schema_hash != self.schema.hash:
            return Finding.failed(
                "schema", "the schema known here is not the plan's", "ask the coordinator to propose the plan"
            )
        if self.plan is not None and self.plan.rehearsal:
            return Finding("schema", "skipped", "a rehearsal makes up its records")
        if self.schema is None:
            return Finding("schema", "skipped", "no schema is known here")
        assert self._read is not None
        return Finding("schema", "ok", f"the records fit schema '{plain(self.schema.name)}'")

    def _counts(self) -> Finding:
        plan, schema = self.plan, self.schema
        if schema is None or (plan is not None and plan.rehearsal):
            return Finding("counts", "skipped", "no records to count")
        try:
            records = self._read
        except DataError:
            return Finding("counts", "skipped", "the records do not fit the schema")
        assert records is not None
        what = "subjects" if schema.subject else "records"
        shown, empty = _classes(records, schema)
        kept = f" to train on, {plan.release.holdout:.0%} held out" if plan and plan.release.holdout else ""
        sentence = f"{records.units:,} {what}{kept}; {shown}"
        if records.units == 0:
            raise TooFewRecordsError(f"there are no {what}{kept}", hint="name the file that holds them")
        if plan is None:
            return Finding("counts", "skipped", f"{sentence} (no plan says how many there must be)")
        bounds = f"the plan takes {plan.min_records:,} to {plan.max_records:,}"
        if not plan.min_records <= records.units <= plan.max_records:
            kind = TooFewRecordsError if records.units < plan.min_records else TooManyRecordsError
            hint = "ask for a plan with other bounds"
            return Finding("counts", "failed", f"{sentence}; {bounds}", hint, kind.code)
        if empty:
            hint = f"fine if other sites have some; else merge or remove: {', '.join(empty)}"
            return Finding("counts", "warning", f"{sentence}; {bounds}", hint)
        return Finding("counts", "ok", f"{sentence}; {bounds}")

    def _budget(self) -> Finding:
        if self.plan is None:
            spent, cap = self.site.ledger.spent(self.site.policy.delta), self.site.policy.epsilon_cap
            return Finding("budget", "skipped", f"ε spent {spent:.3f} of {cap:g}; no plan to add")
        if self.plan.rehearsal:
            return Finding("budget", "skipped", "a rehearsal costs nothing")
        policy = self.site.policy
        self.site.ledger.check(self.plan.mechanisms, policy.cap, self.plan.hash, self.plan.privacy.unit)
        found = budget(self.site, self.plan)
        said = f"ε spent {found.now:.3f}, after this plan {found.after or 0:.3f} of {found.cap:g}"
        return Finding("budget", "ok", said)

    def _disk(self) -> Finding:
        if self.plan is None or self.schema is None:
            return Finding("disk", "skipped", "no plan to estimate")
        return machine_checks.disk(self._folder, self.plan, self.schema)

    def _memory(self) -> Finding:
        if self.plan is None or self.schema is None:
            return Finding("memory", "skipped", "no plan to estimate")
        return machine_checks.memory(self.plan, self.schema)

    def _device(self) -> Finding:
        return machine_checks.device(self.site.policy.device)

    def _courier(self) -> Finding:
        return machine_checks.courier(self._folder, self._joined)


def named_plan(folder: Path, name: str) -> Plan:
    """A plan in a file, or one of this site by its hash.

    Raises UnknownPlanError, ConfigError or StorageError.
    """
    path = Path(name)
    if path.is_file():
        return Plan.from_json(path.read_bytes())
    proposals = Proposals(folder)
    return proposals.plan(proposals.find(name))


def known_schema(site: Site, plan: Plan | None) -> Schema | None:
    """The plan's schema as it was proposed or enrolled, else the one the federation agreed on.

    Raises SchemaError or StorageError.
    """
    if plan is not None:
        if (proposed := Proposals(site.folder).schema(plan)) is not None:
            return proposed
        enrolled = site.run_folder(plan.hash) / "schema.json"
        if enrolled.exists():
            return Schema.from_json(read_secret(enrolled))
    agreed = site.folder / "schema.toml"
    return Schema.load(agreed) if agreed.exists() else None


def check_for_site(plan: Plan, site: Site) -> None:
    """Raise NotReadyError unless a plan is by this site's coordinator, and this site is in its roster."""
    key = site.folder / "identity.key"
    if not key.exists() or plan.federation.identity_of(site.name) != site.identity.public:
        raise NotReadyError(
            f"this site, {site.name} with its key, is not in the roster of the plan",
            hint="tell the coordinator this site's name and public key",
        )
    if not (site.folder / "membership.json").exists():
        return  # simulated: it knows no coordinator but the plan's
    coordinator = Membership.load(site.folder).coordinator
    if plan.federation.coordinator.identity != coordinator.identity:
        raise NotReadyError(
            "the plan names another coordinator than the one this site joined",
            hint="find out who made it; this site answers its own coordinator alone",
        )


def _classes(records: Records, schema: Schema) -> tuple[str, list[str]]:
    """How many records there are of each class, in words, and the classes of which there is none."""
    said, empty = [], []
    for condition in schema.conditions:
        if isinstance(schema, TableSchema):
            codes = records.rows[:, schema.names.index(condition.name)]
        else:
            codes = records.rows[:, -1]
        counts = np.bincount(codes.astype(np.int64), minlength=condition.size)
        names = [plain(str(value)) for value in condition.categories]
        empty += [f"{plain(condition.name)} {name}" for name, n in zip(names, counts, strict=True) if n == 0]
        parts = [f"{name} {n:,}" for name, n in zip(names, counts, strict=True)][:_MOST_SHOWN]
        more = len(names) - len(parts)
        said.append(f"{plain(condition.name)}: {', '.join(parts)}" + (f" and {more} more" if more else ""))
    return "; ".join(said), empty


def first_failure(findings: list[Finding]) -> Finding | None:
    """The first failed check, None if none failed."""
    return next((finding for finding in findings if finding.verdict == "failed"), None)


def ready(findings: list[Finding]) -> bool:
    """Whether nothing failed."""
    return first_failure(findings) is None
