"""Intervals and an exact test for shares of independent units, and an interval of a mean over records."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, hypergeom, norm

Interval = tuple[float, float]

LEVEL = 0.95
"""Of every interval that is shown."""


def clopper_pearson(events: float, trials: float, level: float = LEVEL) -> Interval:
    """Of the probability of an event (Clopper and Pearson 1934): covers it with at least ``level``."""
    tail = (1 - level) / 2
    low = 0.0 if events <= 0 else float(beta.ppf(tail, events, trials - events + 1))
    high = 1.0 if events >= trials else float(beta.ppf(1 - tail, events + 1, trials - events))
    return low, high


def wilson(events: float, trials: float, level: float = LEVEL) -> Interval:
    """The score interval of a probability (Wilson 1927), close to its level even for few events."""
    z = float(norm.ppf((1 + level) / 2))
    share, square = events / trials, z * z
    middle = (share + square / 2 / trials) / (1 + square / trials)
    half = z / (1 + square / trials) * np.sqrt(share * (1 - share) / trials + square / 4 / trials**2)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def newcombe(
    events: float, trials: float, other_events: float, other_trials: float, level: float = LEVEL
) -> Interval:
    """Of the difference of two independent probabilities, first minus second (Newcombe 1998, method 10)."""
    share, other = events / trials, other_events / other_trials
    (low, high), (other_low, other_high) = (
        wilson(events, trials, level),
        wilson(other_events, other_trials, level),
    )
    below = np.hypot(share - low, other_high - other)
    above = np.hypot(high - share, other - other_low)
    return float(share - other - below), float(share - other + above)


def more_than_chance(events: float, trials: float, other_events: float, other_trials: float) -> float:
    """How likely the first side has so many of all events if both had the same chance (Fisher 1935).

    One-sided and exact: given which units are events, which side a unit is on was decided at random.
    """
    found, other = round(events), round(other_events)
    of, total = round(trials), round(trials + other_trials)
    return float(hypergeom.sf(found - 1, total, found + other, of))


def auc_interval(
    positive: NDArray[np.floating], negative: NDArray[np.floating], level: float = LEVEL
) -> tuple[float, float, float]:
    """Area under the ROC curve of scores, and its interval (DeLong, DeLong and Clarke-Pearson 1988).

    Ties count half. On the logit scale, so that it stays inside [0, 1]; at least one score on each side.
    """
    above, below = (
        _placements(positive, np.sort(negative)),
        1 - _placements(negative, np.sort(positive)),
    )
    value = float(above.mean())
    variance = sum(float(part.var(ddof=1)) / len(part) if len(part) > 1 else 0.25 for part in (above, below))
    if not 0 < value < 1:
        spread = 1 / np.sqrt(min(len(positive), len(negative)))
        return value, max(0.0, value - spread), min(1.0, value + spread)
    half = float(norm.ppf((1 + level) / 2)) * np.sqrt(variance) / (value * (1 - value))
    middle = np.log(value / (1 - value))
    low, high = (1 / (1 + np.exp(-(middle + sign * half))) for sign in (-1, 1))
    return value, float(low), float(high)


def _placements(scores: NDArray[np.floating], ascending: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the other side that each score exceeds, ties half."""
    left, right = (np.searchsorted(ascending, scores, side=side) for side in ("left", "right"))
    return np.asarray((left + right) / 2 / len(ascending), np.float64)


def absolute(low: float, high: float) -> Interval:
    """The interval of a size, from that of a signed number."""
    ends = sorted((abs(low), abs(high)))
    return (0.0 if low <= 0 <= high else ends[0]), ends[1]
