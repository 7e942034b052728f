"""What became of rehearsals with the coordinator: no records were read, another ledger was charged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .site import Site


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A rehearsal. finished: we did our part in every step; steps: charged in its own ledger"""

    plan: str
    finished: bool
    steps: tuple[str, ...]


def rehearsals(folder: Path) -> list[Rehearsed]:
    """The rehearsals of a site of which anything is left: usually the last one. Raises LedgerError."""
    site, found = Site(folder), []
    for path in sorted((folder / "rehearsals").glob("*/plan.json")):
        plan = site.approved(path.parent.name)
        ledger = site.ledger_of(plan)
        done = any(line.outcome == "finished" for line in ledger.outcomes())
        found.append(Rehearsed(plan.hash, done, tuple(charge.step for charge in ledger.entries())))
    return found
