"""How near real records lie to synthetic ones: what attacks on released records look at.

Copies of a synthetic record count once, so that repeating a copied record does not hide it. All is computed
in blocks of matrix products; memory does not grow with the number of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import TooFewRecordsError
from .space import Records, Space, Vectors, keys

_NUMBERS = 1 << 24  # float32 in a block of vectors or distances: 64 MB


@dataclass(frozen=True, slots=True)
class Nearest:
    """Of each record: distances to the nearest and the second nearest different synthetic record.

    first, second: float32[records] in [0, 1]; exact: bool[records], whether a synthetic record equals it
    """

    first: Vectors
    second: Vectors
    exact: NDArray[np.bool_]

    @property
    def ratio(self) -> Vectors:
        """First over second, in [0, 1]: 0 for an exact copy, near 1 where none stands out."""
        return np.divide(self.first, self.second, out=np.ones_like(self.first), where=self.second > 0)


def nearest(records: Records, synthetic: Records, space: Space) -> Nearest:
    """Distances of ``records`` to different records of ``synthetic``.

    Raises TooFewRecordsError with fewer than two different synthetic records.
    """
    made, rows = np.unique(keys(synthetic), return_index=True)
    if len(made) < 2:
        raise TooFewRecordsError("attacks need at least 2 different synthetic records")
    exact = np.isin(keys(records), made)
    first, second = _two_nearest(records, _taken(synthetic, rows), space, alone=False)
    first = np.where(exact, np.float32(0), np.maximum(first, np.float32(space.step / 2)))
    return Nearest(first, np.maximum(second, first), exact)


def nearest_other(records: Records, space: Space, others: Records | None = None) -> Vectors:
    """Distance of each record to the nearest of ``others``, or of its own kind but itself: float32[records].

    Raises TooFewRecordsError if there is none.
    """
    if len(records) < 2 or (others is not None and len(others) < 1):
        raise TooFewRecordsError("a nearest other record needs at least 2 records")
    return _two_nearest(records, records if others is None else others, space, alone=others is None)[0]


def _two_nearest(records: Records, others: Records, space: Space, *, alone: bool) -> tuple[Vectors, Vectors]:
    """The two least distances of each record to ``others``. alone: the same records, none is its own.

    All products are sums of whole numbers, exact in any order (``space``).
    """
    count, total, weights = len(records), len(others), space.weights
    wide = max(1, min(total, _NUMBERS // max(len(weights), 1)))
    high = max(1, min(count, _NUMBERS // max(len(weights), wide)))
    least = np.full((count, 2), np.inf, np.float32)
    for column in range(0, total, wide):
        right = space.embed(_taken(others, slice(column, column + wide)))
        lengths = right**2 @ weights
        right *= -2 * weights
        for row in range(0, count, high):
            left = space.embed(_taken(records, slice(row, row + high)))
            squares = left @ right.T
            squares += lengths
            if alone:
                own = np.arange(max(row, column), min(row + len(left), column + len(right)))
                squares[own - row, own - column] = np.inf
            squares = _least_two(squares) + (left**2 @ weights)[:, None]
            both = np.concatenate([least[row : row + high], squares], axis=1)
            least[row : row + high] = np.sort(both, axis=1)[:, :2]
    found = space.distance(least)
    return found[:, 0], found[:, 1]


def _least_two(rows: Vectors) -> Vectors:
    """The two least numbers of each row, of which there may be but one; overwrites ``rows``.

    Two passes for the least, which processors do many numbers at a time, are quicker than a partition.
    """
    if rows.shape[1] == 1:
        return rows
    all_rows = np.arange(len(rows))
    at = rows.argmin(axis=1)
    first = rows[all_rows, at]
    rows[all_rows, at] = np.inf
    return np.stack([first, rows.min(axis=1)], axis=1)


def _taken(records: Records, rows: slice | NDArray[np.int64]) -> Records:
    """Some of the records, of either kind."""
    if isinstance(records, np.ndarray):
        return records[rows]
    return records.take(np.arange(len(records))[rows])
