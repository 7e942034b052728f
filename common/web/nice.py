"""Axes that people can read: round ticks, and as many points as a screen can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evidence.formats import MINUS

_BUCKETS = 200  # of each, the lowest and the highest point are drawn
_MOST_STEPS = 4
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


def tick(value: float) -> str:
    """A number of an axis or a key: four digits, thousands apart."""
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.2g}".replace("-", MINUS)
    digits = 0 if abs(value) >= 1000 else 4
    text = f"{value:,.0f}" if not digits else f"{value:.4g}"
    return text.replace("-", MINUS)


def ends_of(values: NDArray[np.float64], from_zero: bool) -> Sequence[float]:
    """Ticks, three to five at equal distances, that enclose all values; from 0 to 1 if there is none."""
    if not len(values):
        return (0.0, 0.5, 1.0)
    low, high = float(values.min()), float(values.max())
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-12):
        around = max(abs(low), 1.0) / 2
        low, high = (0.0, 1.0) if from_zero else (low - around, high + around)
    power = 10.0 ** math.floor(math.log10((high - low) / _MOST_STEPS))
    for step in (part * power for part in _ROUND):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= _MOST_STEPS:
            break
    else:
        step = 20 * power
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 2)
    return [place * step for place in range(first, last + 1)]


def decimated(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of many points those that a screen can tell apart, peaks among them; few points as they are."""
    each = len(y) // _BUCKETS
    if each < 4:
        return x, y
    buckets = y[: each * _BUCKETS].reshape(_BUCKETS, each)
    starts = np.arange(_BUCKETS) * each
    tail = np.arange(each * _BUCKETS, len(y))
    kept = [starts + buckets.argmin(axis=1), starts + buckets.argmax(axis=1), tail, np.array([0, len(y) - 1])]
    places = np.unique(np.concatenate(kept))
    return x[places], y[places]
