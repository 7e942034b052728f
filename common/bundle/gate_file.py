"""``gate.json``: the privacy gate of a release, with the terms that were agreed before anybody knew."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from ..evaluation.figures import Criterion, Evaluation, Gate, Verdict
from ..release_terms import GateTerms


class GateFile(BaseModel):
    """terms: the plan's thresholds; criteria: what was measured, none if nothing was; override: as in the
    manifest
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    version: Literal[1] = 1
    verdict: Verdict
    override: str | None
    terms: GateTerms
    criteria: tuple[Criterion, ...]

    @classmethod
    def of(cls, evaluation: Evaluation | None, terms: GateTerms, override: str | None) -> Self:
        """The gate of an evaluation; without one it is inconclusive."""
        gate = Gate(criteria=()) if evaluation is None else evaluation.gate
        return cls(verdict=gate.verdict, override=override, terms=terms, criteria=gate.criteria)

    def contradiction(self, terms: GateTerms) -> str | None:
        """What of it cannot be, given the plan's terms; None if all of it can."""
        if self.terms != terms:
            return "its thresholds are not those of the plan"
        if self.verdict != Gate(criteria=self.criteria).verdict:
            return "its verdict does not follow from its criteria"
        agreed = terms.model_dump()
        for one in self.criteria:
            known = agreed.get(one.name, one.threshold if one.threshold in agreed.values() else None)
            if one.threshold is not None and one.threshold != known:
                return f"the threshold of {one.name} is not the plan's"
            if one.verdict == "passed" and not _can_pass(one):
                return f"{one.name} did not pass"
        return None


def _can_pass(one: Criterion) -> bool:
    """Whatever the rule: not without a value, nor where all of the interval is above the threshold."""
    if one.value is None or one.threshold is None:
        return False
    return (one.value if one.low is None else one.low) <= one.threshold
