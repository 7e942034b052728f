"""What an evaluation says, whoever made it: figures with intervals and references, and the gate's criteria.

An evaluation is public or not as a whole: ``shareable`` only if every figure passed through the secure sum
and the ledger, or was computed from released material.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Source = Literal["secure sum", "released material", "records"]
"""Where a figure comes from; ``records``: of a site or a simulation, never to be shared."""

Verdict = Literal["passed", "failed", "inconclusive", "information"]
"""inconclusive: the noise or the number of records hides what the criterion looks for."""


class Figure(BaseModel):
    """One number about synthetic records.

    name: stable, e.g. ``tvd2`` or ``auc.boosting``; of a subgroup with ``/column=value`` behind it
    title: what it is, in plain words; how: how it was computed, one sentence
    value, low, high: with its 95 % interval, None where it is not defined
    reference: the same for real records instead of synthetic ones, which is the best one can expect
    """

    model_config = _MODEL
    name: str
    title: str
    value: float | None
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    better: Literal["lower", "higher"]
    source: Source
    how: str


class Criterion(BaseModel):
    """One line of the privacy gate.

    value, low, high: with its 95 % interval; threshold: from the plan, None for what is information only
    resolution: the smallest true value that would have been seen in 19 of 20 cases, None if not computed
    """

    model_config = _MODEL
    name: str
    title: str
    value: float | None
    low: float | None = None
    high: float | None = None
    threshold: float | None
    resolution: float | None = None
    verdict: Verdict
    source: Source
    how: str


class Gate(BaseModel):
    """All criteria; one that fails, fails the gate."""

    model_config = _MODEL
    criteria: tuple[Criterion, ...]

    @property
    def verdict(self) -> Verdict:
        """failed if any criterion is, else inconclusive if any is or there is none, else passed."""
        said = {one.verdict for one in self.criteria} - {"information"}
        if "failed" in said:
            return "failed"
        return "inconclusive" if "inconclusive" in said or not said else "passed"


class Evaluation(BaseModel):
    """Everything that was measured. records: how many of which kind, where that may be said"""

    model_config = _MODEL
    version: Literal[1] = 1
    shareable: bool
    fidelity: tuple[Figure, ...] = ()
    utility: tuple[Figure, ...] = ()
    subgroups: tuple[Figure, ...] = ()
    coverage: tuple[Figure, ...] = ()
    gate: Gate = Field(default=Gate(criteria=()))
    records: dict[str, int] = {}
