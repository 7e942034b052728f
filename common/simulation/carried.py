"""What a simulated run takes over from the one it continues: what parties keep from run to run.

Identities, data sets, ledgers and records stay the sites' own; keys and answers of the earlier run do not
come along. A real steward does by hand what is done here: name the new records and raise the cap.
"""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from .. import earlier
from ..earlier import Earlier
from ..errors import ConfigError, StorageError
from ..holdout import KEY_FILE
from ..plan import Plan
from ..privacy.accounting import epsilon, rounded_up
from ..privacy.ledger import Ledger
from ..release_files import SUMS
from ..schema import Schema

_KEPT = ("identity.key", KEY_FILE, "ledger.jsonl", "ledger.head")


@dataclass(frozen=True, slots=True)
class Before:
    """A finished simulated run: its release, and the folder in which its parties keep their own."""

    earlier: Earlier
    folder: Path
    plan: Plan

    @classmethod
    def open(cls, release: Path, folder: Path) -> Before:
        """Raises StorageError if either is absent, damaged, or not of the same run."""
        found = Earlier.load(release)
        try:
            plan = Plan.from_json((folder / "plan.json").read_bytes())
        except FileNotFoundError as error:
            raise StorageError(
                f"there is no run folder {folder} beside the release",
                hint="sites and their ledgers are there; bring it back beside the release",
            ) from error
        if plan.hash != found.plan:
            raise StorageError(
                f"the run in {folder} is not the one that released {release}",
                hint="release and run folder of one run belong together",
            )
        return cls(found, folder, plan)

    def check(self, schema: Schema, names: list[str]) -> None:
        """Raise ConfigError unless these sites and this schema can go on."""
        self.earlier.check_schema(schema)
        had = self.plan.federation.names
        if sorted(names) != sorted(had):
            raise ConfigError(
                f"the new records are split over other sites than the {len(had)} of the earlier run",
                hint="the same sites, by name: " + ", ".join(had[:16]),
            )

    def carry_coordinator(self, folder: Path) -> None:
        """Its identity, and the released sums to go on from."""
        place = folder / earlier.FOLDER
        place.mkdir(parents=True, mode=0o700)
        shutil.copy2(self.folder / folder.name / "identity.key", folder)
        shutil.copy2(self.earlier.folder / SUMS, place)

    def carry_site(self, folder: Path, suffix: str, plan: Plan) -> Path:
        """A site's own: identity, ledger, earlier records, and a policy whose cap has room for ``plan``.

        Returns the file for its new records, which the policy names. Raises LedgerError.
        """
        old = self.folder / "sites" / folder.name
        folder.mkdir(parents=True, mode=0o700)
        records = sorted(old.glob(f"records*{suffix}"))
        for path in [*(old / name for name in _KEPT), *records]:
            shutil.copy2(path, folder)
        policy = tomllib.loads((old / "policy.toml").read_text("utf-8"))
        new = folder / f"records-{len(records) + 1}{suffix}"
        changed = {**policy, "records": new.name, **self._cap(folder, policy, plan)}
        (folder / "policy.toml").write_text(tomli_w.dumps(changed), "utf-8")
        return new

    @staticmethod
    def _cap(folder: Path, policy: dict[str, Any], plan: Plan) -> dict[str, float]:
        """Of a steward who agrees to this plan: what is spent already and the plan, together."""
        delta = plan.privacy.delta
        spent = [charge.mechanism for charge in Ledger(folder / "ledger.jsonl", policy["dataset"]).entries()]
        needed = rounded_up(epsilon([*spent, *plan.mechanisms], delta))
        had = policy["epsilon_cap"] if policy["delta"] == delta else 0.0
        return {"epsilon_cap": max(needed, had), "delta": delta}
