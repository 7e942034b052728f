"""What became of rehearsals with the coordinator: no records were read, another ledger was charged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.errors import LedgerError, NotApprovedError

from .site import Site


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A rehearsal. finished: we did our part in every step; steps: charged in its own ledger"""

    plan: str
    finished: bool
    steps: tuple[str, ...]


def rehearsals(folder: Path) -> list[Rehearsed]:
    """The rehearsals of a site of which anything is left: usually the last one.

    Changes nothing, as it may not be the vault's user who looks; one that is replaced meanwhile is left out.
    Raises LedgerError, NotApprovedError if one was altered.
    """
    site, found = Site(folder), []
    for path in sorted((folder / "rehearsals").glob("*/plan.json")):
        try:
            plan = site.approved(path.parent.name)
            ledger = site.ledger_of_rehearsal(plan.hash)
            begun = ledger.path.exists()
            done = begun and any(line.outcome == "finished" for line in ledger.outcomes())
            steps = [charge.step for charge in ledger.entries()] if begun else []
        except (NotApprovedError, LedgerError, FileNotFoundError):
            if path.exists():
                raise
            continue
        found.append(Rehearsed(plan.hash, done, tuple(steps)))
    return found
