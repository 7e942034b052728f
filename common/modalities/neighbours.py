"""The second feature map of wide tables: pairs of columns near each other in the schema, or with a condition.

All pairs grow with the square of the columns. Which are left out is public, stands in the plan, and does not
depend on records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .gram import GramFeatures
from .tabular import Codes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NeighbourFeatures(GramFeatures):
    """phi(o) = pairs of codes of neighbouring columns, in the block of the record's class.

    A column is paired with the ``neighbours`` generated columns after it in the schema, and with every
    condition. A record has one 1 in the block of each measured pair; weights are scaled over these pairs, so
    that phi has norm 1: adding or removing a record moves the sum by exactly 1 (L2), as with all pairs.
    """

    neighbours: int = field(kw_only=True)

    @cached_property
    def generated(self) -> int:
        """How many of ``columns`` are generated; conditions that do not split come after them."""
        return len(self.layout.generated)

    @cached_property
    def measured(self) -> NDArray[np.bool_]:
        """Which pairs of ``columns`` are measured: bool[k, k], symmetric, false on the diagonal."""
        place = np.arange(len(self.sizes))
        near = np.abs(place[:, None] - place) <= self.neighbours
        given = place >= self.generated
        return np.asarray((near | given[:, None] | given) & (place[:, None] != place))

    @cached_property
    def indices(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of a class's Gram matrix that phi holds."""
        later = np.triu(self.measured)
        rows, columns = np.nonzero(later[self.owner][:, self.owner])
        return rows, columns

    @cached_property
    def pair_weights(self) -> Array:
        """Of each pair of columns, float64[k, k], 0 where not measured; squares of pairs add to 1."""
        raw = self.unscaled_weights * self.measured
        return np.asarray(raw / np.linalg.norm(raw[np.triu_indices(len(raw), 1)]))

    @property
    def typical(self) -> float:
        """The root mean square weight of a measured pair of columns."""
        return float(np.triu(self.measured).sum() ** -0.5)

    def sum(self, codes: Codes, weights: Array) -> Array:
        """Sum of weight * phi over records: float64[count]. codes: int64[records, columns] in model order.

        A column at a time beside all that it is paired with: nothing grows with the square of the columns.
        """
        member = self.member(codes[:, len(self.layout.generated) :])
        mine = codes[:, list(self.columns)]
        total = np.empty((self.classes, len(self.weights)))
        end = 0
        for i, size in enumerate(self.sizes):
            partners = np.nonzero(self.measured[i] & (np.arange(len(self.sizes)) > i))[0]
            if not len(partners):
                continue
            widths = np.array(self.sizes)[partners]
            starts, row = np.cumsum(widths) - widths, int(widths.sum())
            cells = (member * size + mine[:, i])[:, None] * row + starts + mine[:, partners]
            counts = np.bincount(
                cells.ravel(), np.repeat(weights, len(partners)), minlength=self.classes * size * row
            )
            start, end = end, end + size * row
            total[:, start:end] = counts.reshape(self.classes, -1)
        return np.asarray((total * self.weights).ravel())


def cells(sizes: list[int], conditions: list[int], neighbours: int) -> int:
    """Pairs of codes that are measured of generated columns and conditions of these sizes, in one class."""
    free, given = np.array(sizes, np.int64), np.array(conditions, np.int64)
    ahead = np.concatenate([[0], np.cumsum(free)])
    last = np.minimum(np.arange(len(free)) + 1 + neighbours, len(free))
    near = free * (ahead[last] - ahead[1:])
    among = (given.sum() ** 2 - (given**2).sum()) // 2
    return int(near.sum() + free.sum() * given.sum() + among)
