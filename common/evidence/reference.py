"""What a table is compared by: the shares of all groups of codes, and of all pairs of them.

Records give them exactly, up to sampling; a run's released sums give them with noise, at no further cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray

from ..arrays import Arrays
from ..modalities.grouping import Grouping
from ..modalities.tabular import Codes

Array = NDArray[np.float64]

Origin = Literal["released material", "records"]

_FINE = 5  # groups of an ordered column for associations, of about equal share
_RARE = 0.05  # share below which categories are put together for associations


@dataclass(frozen=True, slots=True)
class TwoWay:
    """Joint shares of every pair of columns, G groups of all columns in schema order.

    sizes: groups of each column; shares: float64[G, G], a column with itself has its shares on the diagonal
    variances: float64[G, G], of the noise or of sampling in each share
    units: of released sums, how many were drawn from the population; that is not in ``variances``
    """

    sizes: tuple[int, ...]
    shares: Array
    variances: Array
    units: float = math.inf

    @classmethod
    def of_codes(cls, grouped: Codes, sizes: list[int]) -> TwoWay:
        """Of records as grouped codes, int64[records, columns]; sampling is their only uncertainty."""
        rows, columns = grouped.shape
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        places = (grouped + starts).ravel()
        ends = np.arange(0, rows * columns + 1, columns)
        one_hot = scipy.sparse.csr_matrix((np.ones(rows * columns), places, ends), (rows, sum(sizes)))
        shares = np.asarray((one_hot.T @ one_hot).todense(), np.float64) / rows
        return cls(tuple(sizes), shares, shares * (1 - shares) / rows)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each column begins."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    @property
    def single(self) -> Array:
        """Shares of each group: float64[G]."""
        return np.asarray(self.shares.diagonal().copy())

    @property
    def deviations(self) -> Array:
        """Standard deviation of each of ``single``."""
        return np.asarray(np.sqrt(self.variances.diagonal()))

    @property
    def covariance(self) -> Array:
        """Of one-hot records: float64[G, G]."""
        return np.asarray(self.shares - np.outer(self.single, self.single))

    def merged(self, into: list[NDArray[np.int64]]) -> TwoWay:
        """With fewer groups. into: the new group of each group, from 0, of each column."""
        sizes = [int(part.max()) + 1 for part in into]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        places = np.concatenate([part + start for part, start in zip(into, starts, strict=True)])
        member = np.zeros((len(places), sum(sizes)))
        member[np.arange(len(places)), places] = 1.0
        shares, variances = (member.T @ values @ member for values in (self.shares, self.variances))
        return TwoWay(tuple(sizes), shares, variances, self.units)

    def association(self) -> Array:
        """Cramér's V of each pair of columns, float64[columns, columns] in [0, 1], 1 on the diagonal.

        What chance or noise adds to chi squared on average is taken off (for sampling: Bergsma 2013).
        """
        single = np.maximum(self.single, 0.0)
        expected = np.outer(single, single)
        seen = expected > 1e-12
        square = np.where(seen, (self.shares - expected) ** 2 - self._excess(), 0.0)
        chi = self._blocks(np.divide(square, expected, out=np.zeros_like(square), where=seen))
        used = np.add.reduceat((single > 1e-6).astype(float), self.starts)
        fewest = np.maximum(np.minimum.outer(used, used) - 1, 1)
        found = np.sqrt(np.clip(chi / fewest, 0, 1))
        np.fill_diagonal(found, 1.0)
        return np.asarray(found)

    def _excess(self) -> Array:
        """Mean square by which noise and sampling move a joint share from what margins say."""
        used = np.maximum(np.add.reduceat((self.single > 1e-6).astype(float), self.starts), 1)
        free = np.repeat(1 - 1 / used, self.sizes)
        sampling = np.maximum(self.shares, 0.0) / self.units
        return np.asarray((self.variances + sampling) * np.outer(free, free))

    def _blocks(self, values: Array) -> Array:
        return np.asarray(np.add.reduceat(np.add.reduceat(values, self.starts, 0), self.starts, 1))


@dataclass(frozen=True, slots=True)
class Reference:
    """What synthetic records are shown beside.

    origin: ``released material``: noisy sums; ``records``: real ones, on a private page only
    grouping: of a table's codes; two_way: of a table, its shares; records: real ones, else None
    """

    origin: Origin
    grouping: Grouping | None = None
    two_way: TwoWay | None = None
    records: pd.DataFrame | Arrays | None = None


def coarse(single: Array, sizes: tuple[int, ...], ordered: list[bool]) -> list[NDArray[np.int64]]:
    """How to merge groups until noise no longer hides associations, by shares that may be seen.

    Ordered columns: up to five groups of neighbours of about equal share; others: rare ones together.
    """
    parts = np.split(single, np.cumsum(sizes)[:-1])
    return [
        _neighbours(np.maximum(part, 0.0)) if runs else _common(part)
        for part, runs in zip(parts, ordered, strict=True)
    ]


def _neighbours(shares: Array) -> NDArray[np.int64]:
    total = max(float(shares.sum()), 1e-12)
    middles = (np.cumsum(shares) - shares / 2) / total
    found = np.minimum((middles * _FINE).astype(np.int64), _FINE - 1)
    while True:  # what is left alone and rare goes to the group before it, or behind it
        _, found = np.unique(found, return_inverse=True)
        mass = np.bincount(found, shares) / total
        if len(mass) == 1 or mass.min() >= _RARE:
            return found.astype(np.int64)
        rare = int(mass.argmin())
        found = np.where(found == rare, rare - 1 if rare else 1, found)


def _common(shares: Array) -> NDArray[np.int64]:
    """If even all rare categories together are rare, the least common of the others joins them."""
    rare = shares < _RARE
    if rare.any() and not rare.all() and shares[rare].sum() < _RARE:
        rare[np.where(rare, np.inf, shares).argmin()] = True
    keys = np.where(rare, len(shares), np.arange(len(shares)))
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def distance(one: TwoWay, other: TwoWay) -> Array:
    """Total variation distance of each column: float64[columns] in [0, 1]."""
    return np.asarray(np.add.reduceat(np.abs(one.single - other.single), one.starts) / 2)
