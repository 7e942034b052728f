"""Shares that are shares: none negative, one in total."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def to_simplex(values: Array) -> Array:
    """The nearest probability vector, float64[n] to the same (Duchi et al. 2008, Figure 1)."""
    ordered = np.sort(values)[::-1]
    excess = np.cumsum(ordered) - 1.0
    last = np.nonzero(ordered - excess / np.arange(1, len(values) + 1) > 0)[0][-1]
    return np.asarray(np.maximum(values - excess[last] / (last + 1), 0.0))
