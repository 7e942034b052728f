"""The plane in which records differ most: principal component analysis, of records or of released sums.

The released sums of a table hold all pairs of codes, hence the covariance of one-hot records: their main
directions, and the ellipse in which records lie, cost no more privacy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from ..modalities.tabular import Codes
from .reference import TwoWay

Array = NDArray[np.float64]

_AROUND = 61  # points of an ellipse
_TWO_DEVIATIONS = 2.0


@dataclass(frozen=True, slots=True)
class Plane:
    """mean: float64[width]; axes: float64[width, 2], of length 1; variance: float64[2], shares of all"""

    mean: Array
    axes: Array
    variance: Array

    def one_hot(self, grouped: Codes, starts: NDArray[np.int64]) -> Array:
        """Grouped codes [records, columns] in the plane: float64[records, 2]."""
        return np.asarray(self.axes[grouped + starts].sum(1) - self.mean @ self.axes)

    def rows(self, values: NDArray[Any]) -> Array:
        """Records [records, ...] in the plane: float64[records, 2]."""
        flat = values.reshape(len(values), -1).astype(np.float64)
        return np.asarray((flat - self.mean) @ self.axes)

    def ellipse(self, mean: Array, covariance: Array) -> list[list[float]]:
        """Two standard deviations around the mean of a distribution: [points][2]."""
        inside = self.axes.T @ covariance @ self.axes
        values, vectors = np.linalg.eigh(inside)
        around = np.linspace(0, 2 * np.pi, _AROUND)
        circle = np.stack([np.cos(around), np.sin(around)])
        reach = vectors * np.sqrt(np.maximum(values, 0)) * _TWO_DEVIATIONS
        centre = (mean - self.mean) @ self.axes
        return np.round((reach @ circle).T + centre, 3).tolist()  # type: ignore[no-any-return]


def of_table(found: TwoWay) -> Plane:
    """Of one-hot records, by their shares."""
    values, vectors = np.linalg.eigh(found.covariance)
    total = float(np.maximum(values, 0).sum())
    return Plane(found.single, _signed(vectors[:, [-1, -2]]), values[[-1, -2]] / max(total, 1e-12))


def of_arrays(values: NDArray[Any]) -> Plane:
    """Of images or signals [records, ...], at least one."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    if len(flat) < 3:
        flat = np.concatenate([flat] * 3)
    with np.errstate(invalid="ignore"):  # equal records have no variance to share out
        model = PCA(2, svd_solver="randomized", random_state=0).fit(flat)
    axes = _signed(np.asarray(model.components_, np.float64).T)
    return Plane(flat.mean(0), axes, np.nan_to_num(model.explained_variance_ratio_))


def _signed(axes: Array) -> Array:
    """The same directions whatever the machine: the largest part is positive."""
    largest = axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])]
    return np.asarray(axes * np.where(largest < 0, -1.0, 1.0))
