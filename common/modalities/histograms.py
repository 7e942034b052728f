"""The first feature map of tables: one-way counts of every column, on the finest codes of the schema."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .tabular import Codes

Array = NDArray[np.float64]

_POWER, _MANY = 0.4, 40.0


@dataclass(frozen=True)
class HistogramFeatures:
    """phi(o) = the one-hot record, columns weighted by min(codes, 40)**0.4 and all scaled to norm 1.

    A column of many codes has its mass spread thin, so it gets more weight and less noise. Adding or
    removing a record moves the sum by exactly 1 (L2).

    sizes: codes of each column, in schema order
    """

    sizes: tuple[int, ...]

    @cached_property
    def weights(self) -> Array:
        """Of each column: float64[columns], norm 1."""
        raw = np.minimum(np.array(self.sizes), _MANY) ** _POWER
        return np.asarray(raw / np.linalg.norm(raw))

    @property
    def count(self) -> int:
        """Length of phi."""
        return sum(self.sizes)

    @property
    def smallest(self) -> float:
        """The smallest coordinate of phi."""
        return 0.0

    @property
    def largest(self) -> float:
        """The largest coordinate of phi."""
        return float(self.weights.max())

    def sum(self, codes: Codes, weights: Array) -> Array:
        """Sum of weight * phi over records: float64[count]. codes: int64[records, columns]."""
        columns = [
            np.bincount(codes[:, j], weights, minlength=size) * self.weights[j]
            for j, size in enumerate(self.sizes)
        ]
        return np.concatenate(columns)

    def counts(self, total: Array) -> list[Array]:
        """A (noisy) sum as counts of each column: float64[codes] each."""
        columns = np.split(total, np.cumsum(self.sizes)[:-1])
        return [column / weight for column, weight in zip(columns, self.weights, strict=True)]

    def deviations(self, noise_multiplier: float) -> Array:
        """Standard deviation of the noise in a count of each column: float64[columns]."""
        return np.asarray(noise_multiplier / self.weights)
