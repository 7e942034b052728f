"""Noisy counts as shares: post-processing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def to_simplex(values: Array) -> Array:
    """The nearest probability vector (Duchi et al. 2008, Figure 1).

    Clipping at zero instead would keep the upward half of the noise of every empty cell.
    """
    ordered = np.sort(values)[::-1]
    excess = np.cumsum(ordered) - 1.0
    last = np.nonzero(ordered - excess / np.arange(1, len(values) + 1) > 0)[0][-1]
    return np.asarray(np.maximum(values - excess[last] / (last + 1), 0.0))
