"""Everything that the page of a release is made from, and the rule what may be on which page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from ..arrays import Arrays
from ..errors import NotShareableError, TooFewRecordsError
from ..evaluation.figures import Criterion, Evaluation, Figure
from ..plan import Plan
from ..schema import Schema
from .reference import Reference


class Meaning(NamedTuple):
    """The most that any attack on membership can reach, by the run's own privacy loss distribution.

    view: one of ``Plan.views``; fpr: share of outsiders taken for members; tpr: share of members recognised,
    at most
    """

    view: str
    fpr: float
    tpr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """A finished run and its synthetic records.

    run: ``report.json``; evaluation: None if nothing was measured; meaning: none if nobody worked it out
    override: the written reason for a release against the gate, else None; reference: None, and nothing is
    compared; private: a page that stays at a site, which may show real records
    simulated: all sites were played by one computer
    Raises NotShareableError if a page to be shared would rest on records that nothing was paid for,
    TooFewRecordsError without a synthetic record.
    """

    run: Mapping[str, Any]
    plan: Plan
    schema: Schema
    evaluation: Evaluation | None
    meaning: tuple[Meaning, ...]
    override: str | None
    synthetic: pd.DataFrame | Arrays
    reference: Reference | None
    private: bool
    simulated: bool = False

    def __post_init__(self) -> None:
        if not len(self.synthetic):
            raise TooFewRecordsError("there is no synthetic record to report on", hint="release some")
        if self.private:
            return
        if self.reference is not None and (
            self.reference.origin == "records" or self.reference.records is not None
        ):
            raise NotShareableError("a page to be shared would show real records", hint=_HINT)
        if self.evaluation is not None and not self.evaluation.shareable:
            raise NotShareableError(
                "a page to be shared would show an evaluation that is private", hint=_HINT
            )
        for one in self.figures:
            if one.source == "records":
                raise NotShareableError(
                    f"{one.name} was computed on records outside the secure sum", hint=_HINT
                )

    @property
    def figures(self) -> tuple[Figure | Criterion, ...]:
        """All that was measured."""
        if (found := self.evaluation) is None:
            return ()
        parts = (found.fidelity, found.utility, found.subgroups, found.coverage, found.gate.criteria)
        return tuple(one for part in parts for one in part)


_HINT = "make it a private page of the site, or leave it out"
