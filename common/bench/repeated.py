"""Scores of one system or setting over its repetitions: median, smallest and largest."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .league.results import Scores

DASH = "\u2013"
DECIMALS = {"tvd1": 4, "tvd2": 4, "tvd3": 4, "auc_boosting": 3, "auc_logistic": 3, "c2st": 3}
"""Of each score, as tables show them."""

SCORES = tuple(Scores.model_fields)
"""Names of scores, in the order they are shown in."""


class Scored(Protocol):
    """A result with scores, or without if its run went wrong."""

    @property
    def scores(self) -> Scores | None:
        """As ``common.evaluation.benchmark.scores`` says them."""


R = TypeVar("R", bound=Scored)


@dataclass(frozen=True, slots=True)
class Repeated(Generic[R]):
    """Repetitions of one run, in the order of their seeds."""

    results: tuple[R, ...]

    @property
    def first(self) -> R:
        """Of the smallest seed."""
        return self.results[0]

    @property
    def ended_well(self) -> tuple[R, ...]:
        """Those with scores."""
        return tuple(result for result in self.results if result.scores is not None)

    def values(self, name: str) -> list[float]:
        """A score of every repetition that has scores."""
        return [float(getattr(result.scores, name)) for result in self.ended_well]

    def said(self, name: str) -> str:
        """Median of a score, and smallest and largest if there are several; a dash for none."""
        return spread(self.values(name), DECIMALS[name])


def spread(values: Sequence[float], decimals: int) -> str:
    """The median, and in brackets smallest and largest of several; a dash for none."""
    if len(values) < 2:
        return middle(values, decimals)
    return f"{middle(values, decimals)} ({min(values):.{decimals}f} {DASH} {max(values):.{decimals}f})"


def middle(values: Sequence[float], decimals: int) -> str:
    """The median; a dash for none."""
    return f"{statistics.median(values):.{decimals}f}" if values else DASH
