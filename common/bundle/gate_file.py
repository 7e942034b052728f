"""``gate.json``: the privacy gate of a release, with the terms that were agreed before anybody knew."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from ..evaluation.figures import Criterion, Evaluation, Gate, Verdict
from ..release_terms import BY_LAST_SUM, GateTerms


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
        names = {one.name for one in self.criteria}
        if self.criteria and (absent := [name for name in BY_LAST_SUM if name not in names]):
            return f"it does not say {', '.join(absent)}, which every evaluation measures"
        return next(filter(None, (_wrong(one, terms) for one in self.criteria)), None)


def _wrong(one: Criterion, terms: GateTerms) -> str | None:
    agreed = terms.model_dump()
    known = agreed.get(one.name, one.threshold if one.threshold in agreed.values() else None)
    if one.threshold is not None and one.threshold != known:
        return f"the threshold of {one.name} is not the plan's"
    if one.verdict == "passed" and not _can_pass(one):
        return f"{one.name} did not pass"
    if one.verdict == "information" and _decides(one):
        return f"{one.name} decides, and says that it does not"
    return None


def _decides(one: Criterion) -> bool:
    """What is information only lacks a threshold, or was not measured; those of the last sum never do."""
    return one.name in BY_LAST_SUM or not (one.value is None or one.threshold is None)


def _can_pass(one: Criterion) -> bool:
    """Whatever the rule: not without a value, nor where all of the interval is above the threshold."""
    if one.value is None or one.threshold is None:
        return False
    return (one.value if one.low is None else one.low) <= one.threshold
