"""Everything that a data steward is told about one plan before saying yes or no."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from common.errors import FedcganError
from common.plan import Plan
from common.schema import Schema

from .plan_changes import Change, changes
from .plan_costs import Budget, Leaving, budget, leaving
from .plan_words import Part, words
from .preflight import known_schema
from .proposals import Proposals, Standing
from .site import Site


@dataclass(frozen=True, slots=True)
class Reading:
    """A plan in plain words, and against the one approved before it.

    schema: None if the plan's is not known here; budget: what it does to the site's; before: hash of the
    plan approved last, None if there is none, with what has changed since
    """

    plan: Plan
    hash: str
    standing: Standing
    schema: Schema | None
    budget: Budget
    parts: list[Part]
    before: str | None
    changes: list[Change]

    @property
    def leaving(self) -> list[Leaving]:
        """What would leave, by kind of step; nothing where that is not known."""
        try:
            return leaving(self.plan, self.schema) if self.schema else []
        except FedcganError:
            return []  # its words say why

    @property
    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "hash": self.hash,
            "standing": self.standing,
            "parts": [asdict(part) for part in self.parts],
            "compared_with": self.before,
            "changes": [asdict(change) for change in self.changes],
            "plan": self.plan.model_dump(mode="json"),
        }


def read(site: Site, known: str) -> Reading:
    """The plan at a site whose hash begins with ``known``. Nothing is charged.

    Raises UnknownPlanError, StorageError, SchemaError, ConfigError or LedgerError.
    """
    proposals = Proposals(site.folder)
    plan = proposals.plan(proposals.find(known))
    schema = known_schema(site, plan)
    if schema is not None and schema.hash != plan.schema_hash:
        schema = None
    before, spent = proposals.last_approved(plan.hash), budget(site, plan)
    return Reading(
        plan=plan,
        hash=plan.hash,
        standing=proposals.standing(plan.hash),
        schema=schema,
        budget=spent,
        parts=words(plan, schema, site.name, spent),
        before=None if before is None else before.hash,
        changes=[] if before is None else changes(before, plan),
    )
