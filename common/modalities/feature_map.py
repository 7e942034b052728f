"""What a modality brings to the measure phase: a bounded feature map of its records.

The loss that fits a generator to its sums is ``common.models.objective.FittingLoss``.
"""

from __future__ import annotations

from typing import Any, Protocol

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
    def smallest(self) -> float:
        """The smallest value a coordinate of phi can have, at most 0, for the headroom of the sum."""

    @property
    def largest(self) -> float:
        """The largest value a coordinate of phi can have."""

    def sum(self, rows: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of weight * phi(record): float64[count]. rows: as ``Records`` holds them."""
