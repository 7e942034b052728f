"""Statistics of opened counts, with intervals: what noise and sampling leave of them.

Intervals are those of a parametric bootstrap: counts are drawn again from Poisson laws around what was opened
and from the noise that the plan prescribes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Of counts [..., cells], whatever leading axes they have."""

WIDTH = 1.96
"""Of a 95 % interval, in standard deviations."""

_DRAWS, _SEED = 400, 0


@dataclass(frozen=True)
class NoisyCounts:
    """Counts in cells. counts: as opened, float64[cells...]; drawn: again, float64[draws, cells...]"""

    counts: Array
    drawn: Array

    @classmethod
    def of(cls, counts: Array, deviation: float) -> NoisyCounts:
        """deviation: of the noise in each count"""
        random, expected = np.random.default_rng(_SEED), np.maximum(counts, 0.0)
        drawn = counts + random.poisson(expected, (_DRAWS, *counts.shape)) - expected
        return cls(counts, drawn + random.normal(0.0, deviation, drawn.shape))

    @classmethod
    def stacked(cls, parts: Sequence[NoisyCounts]) -> NoisyCounts:
        """Several of one shape, a new axis first."""
        return cls(np.stack([p.counts for p in parts]), np.stack([p.drawn for p in parts], axis=1))

    def at(self, place: int) -> NoisyCounts:
        """One place of the first axis."""
        return NoisyCounts(self.counts[place], self.drawn[:, place])

    @property
    def total(self) -> float:
        """Units in all cells."""
        return float(self.counts.sum())

    def read(self, statistic: Statistic) -> tuple[float, float, float]:
        """A statistic with its 95 % interval.

        Centred on the value: draws around counts that carry noise already have it twice.
        """
        value = float(statistic(self.counts[None])[0])
        spread = WIDTH * float(np.std(statistic(self.drawn)))
        return value, value - spread, value + spread


def shares(counts: Array) -> Array:
    """Of all units, negative counts taken as none: [..., cells] to the same."""
    positive = np.maximum(counts, 0.0)
    return np.asarray(positive / np.maximum(positive.sum(-1, keepdims=True), 1.0))


def excess(bins: int) -> Statistic:
    """Share of the first row's units in the first bins, beyond that of the second's: [..., 2, cells]."""

    def statistic(counts: Array) -> Array:
        low = counts[..., :bins].sum(-1) / np.maximum(counts.sum(-1), 1.0)
        return np.asarray(low[..., 0] - low[..., 1])

    return statistic


def true_positive_rate(false_positive_rate: float) -> Statistic:
    """Of naming members by their bin, the first first: [..., (members, others), cells].

    Inside the bin in which the false positive rate is reached, it names at random.
    """

    def statistic(counts: Array) -> Array:
        hits, alarms = np.moveaxis(shares(counts).cumsum(-1), -2, 0)
        last = counts.shape[-1] - 1
        place = (alarms < false_positive_rate).sum(-1, keepdims=True).clip(max=last)
        (hit, hit_before), (alarm, alarm_before) = (_around(found, place) for found in (hits, alarms))
        inside = (false_positive_rate - alarm_before) / np.maximum(alarm - alarm_before, 1e-12)
        return np.asarray((hit_before + np.clip(inside, 0, 1) * (hit - hit_before))[..., 0])

    return statistic


def _around(cumulated: Array, place: NDArray[np.int64]) -> tuple[Array, Array]:
    """Cumulated shares up to a bin, and up to the one before it."""
    before = np.take_along_axis(cumulated, np.maximum(place - 1, 0), -1)
    return np.take_along_axis(cumulated, place, -1), np.where(place > 0, before, 0.0)


def area_under_curve(counts: Array) -> Array:
    """Of scores in bins: [..., (negative, positive), cells]; ties count half (Mann and Whitney 1947)."""
    found = counts / np.maximum(counts.sum(-1, keepdims=True), 1.0)
    below = found[..., 0, :].cumsum(-1) - found[..., 0, :] / 2
    return np.asarray((found[..., 1, :] * below).sum(-1))


def accuracy(counts: Array) -> Array:
    """Of classes said: [..., truth, said]."""
    right = np.diagonal(counts, axis1=-2, axis2=-1).sum(-1)
    return np.asarray(right / np.maximum(counts.sum((-2, -1)), 1.0))


def macro_f1(counts: Array) -> Array:
    """Mean over classes of 2 hits / (units of it + units said to be): [..., truth, said]."""
    positive = np.maximum(counts, 0.0)
    hits = np.diagonal(positive, axis1=-2, axis2=-1)
    return np.asarray((2 * hits / np.maximum(positive.sum(-1) + positive.sum(-2), 1e-9)).mean(-1))
