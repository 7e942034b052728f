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
            if one.name in agreed and one.threshold not in (None, agreed[one.name]):
                return f"the threshold of {one.name} is not the plan's"
            above = one.value is not None and one.threshold is not None and one.value > one.threshold
            if one.verdict == "passed" and (above or one.value is None or one.threshold is None):
                return f"{one.name} did not pass"
        return None
