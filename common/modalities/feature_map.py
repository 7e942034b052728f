"""What a modality brings to the measure phase: a bounded feature map of its records.

The loss that fits a generator to its sums is ``common.models.objective.FittingLoss``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FeatureMap(Protocol):
    """phi: record -> R^count with norm at most 1, and its weighted sum over records.

    Formal guarantee: a unit (a record, or a subject whose records share one weight of 1) moves the sum by at
    most 1 (L2), so that noise of noise_multiplier * 1 in each coordinate is the Gaussian mechanism.
    """

    @property
    def count(self) -> int:
        """Length of phi."""

    @property
    def largest(self) -> float:
        """The largest absolute value of a coordinate of phi, for the headroom of the sum."""

    def sum(self, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of weight * phi(record): float64[count]."""
