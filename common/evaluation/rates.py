"""What an attack achieves at a low false positive rate, and what so many units could show at all.

Scores are of independent units, the higher, the likelier a member. If membership told nothing, training and
held-out units would be a random split of one pool; the tests here are exact under that (Carlini et al. 2022
say why rates at few false positives count, not averages).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, hypergeom

from .intervals import LEVEL, clopper_pearson

_SEEN = 1.645  # deviations below its mean at which a count still lies in 19 of 20 cases


@dataclass(frozen=True, slots=True)
class Evidence:
    """value with its interval; p_value: of no difference at all; resolution: see ``Criterion``"""

    value: float
    low: float
    high: float
    p_value: float
    resolution: float | None


def at_false_positive_rate(
    training: NDArray[np.floating],
    holdout: NDArray[np.floating],
    rate: float,
    threshold: float,
    failure: float,
) -> Evidence:
    """True positive rate at a false positive rate, between the points of the curve where none has it.

    low: Clopper-Pearson's lower bound of the share of training units above the lowest score that surely (95
    %) at most ``rate`` of fresh units reach; high: the like, of at least ``rate``. 0 and 1 if there is no
    such. threshold, failure: above which value, and below which p-value, it fails
    """
    out, members = np.sort(holdout)[::-1], np.sort(training)
    borders = np.unique(np.concatenate([out, members]))[::-1]
    false = _at_least(np.sort(holdout), borders)
    true = _at_least(members, borders)
    value = float(np.interp(rate, np.r_[0, false], np.r_[0, true]))
    few, many = _surely(len(out), rate)
    low = high = None
    if few is not None:
        above = float((training > out[few]).sum()) if few < len(out) else 0.0
        low = clopper_pearson(above, len(members))[0]
    if many is not None:
        high = clopper_pearson(float((training >= out[many - 1]).sum()), len(members))[1]
    allowed = max(1, int(rate * len(out)))
    ahead = int((training > out[allowed - 1]).sum())
    return Evidence(
        value,
        min(low or 0.0, value),
        max(1.0 if high is None else high, value),
        _ahead_by_chance(ahead, allowed, len(members), len(out)),
        _least_rate(len(members), len(out), allowed, threshold, failure),
    )


def _at_least(ascending: NDArray[np.floating], borders: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of scores at or above each border."""
    return 1 - np.searchsorted(ascending, borders, side="left") / len(ascending)


def _surely(units: int, rate: float) -> tuple[int | None, int | None]:
    """The most false positives that mean at most ``rate``, the fewest that mean at least it, at 95 %."""
    counts = np.arange(min(units, int(4 * rate * units) + 40))
    upper = beta.ppf(LEVEL, counts + 1, units - counts)
    lower = beta.ppf(1 - LEVEL, counts[1:], units - counts[1:] + 1)
    few, many = np.nonzero(upper <= rate)[0], np.nonzero(lower >= rate)[0]
    return (int(few[-1]) if len(few) else None), (int(many[0]) + 1 if len(many) else None)


def _ahead_by_chance(ahead: int, allowed: int, members: int, others: int) -> float:
    """How likely so many members come before the ``allowed``-th other unit in a random order (exact)."""
    if ahead == 0:
        return 1.0
    drawn = min(ahead + allowed - 1, members + others)
    return float(hypergeom.cdf(allowed - 1, members + others, others, drawn))


def _least_rate(members: int, others: int, allowed: int, threshold: float, failure: float) -> float | None:
    """The smallest true positive rate that would fail in 19 of 20 cases."""
    rates = np.geomspace(1e-4, 1, 400)
    counts = np.floor(members * rates - _SEEN * np.sqrt(members * rates * (1 - rates))).clip(0)
    drawn = np.minimum(counts + allowed - 1, members + others)
    told = hypergeom.cdf(allowed - 1, members + others, others, drawn) < failure
    return _first(rates, told & (counts > threshold * members))


def _first(values: NDArray[np.float64], good: NDArray[np.bool_]) -> float | None:
    """The first value from which on it is good, None if it is not good in the end."""
    bad = np.nonzero(~good)[0]
    place = int(bad[-1]) + 1 if len(bad) else 0
    return float(values[place]) if place < len(values) else None


def least_excess(
    members: int, others: int, by_chance: float, scale: float, threshold: float, failure: float
) -> float | None:
    """The smallest true excess of a share, times ``scale``, that would fail in 19 of 20 cases.

    by_chance: share of held-out units that show it
    """
    if by_chance >= 1:
        return None
    truth = np.geomspace(1e-5, 1 - by_chance, 400)
    share = by_chance + truth
    spread = np.sqrt(share * (1 - share) / members + by_chance * (1 - by_chance) / others)
    low = truth - _SEEN * spread
    events = np.floor((by_chance + low) * members).clip(0)
    control = float(np.ceil(by_chance * others))
    told = hypergeom.sf(events - 1, members + others, events + control, members) < failure
    found = _first(truth, told & (low * scale > threshold))
    return None if found is None else found * scale
