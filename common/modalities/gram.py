"""The second feature map of tables: all pairs of codes of a record, within the class it belongs to.

The sum over records holds every two-way count, separately for each combination of the conditions that split;
with none, there is one class.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .layout import Layout
from .tabular import Codes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GramFeatures:
    """phi(o) = pairs of codes of two columns, in the block of the record's class.

    A record of k columns that do not split has one 1 in each of k(k-1)/2 pair blocks. A pair of columns with
    a and b codes weighs (a b)**power, ``condition_weight`` times that if one of them is a condition, and all
    is scaled so that phi has norm 1: adding or removing a record moves the sum by exactly 1 (L2).

    A generator is asked by its conditions, and a classifier for one of them, so what columns have to do with
    conditions is worth more than what they have to do with each other, and there are few such pairs.

    split: positions of the splitting conditions in model order, ascending; at least two columns remain
    """

    layout: Layout
    split: tuple[int, ...]
    power: float
    condition_weight: float = 1.0

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """Positions of the columns that do not split, in model order."""
        return tuple(j for j in range(len(self.layout.sizes)) if j not in self.split)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each column that does not split."""
        return tuple(self.layout.sizes[j] for j in self.columns)

    @cached_property
    def blocks(self) -> list[slice]:
        """Where each of these columns lies in a one-hot record."""
        ends = np.cumsum(self.sizes).tolist()
        return [slice(end - size, end) for end, size in zip(ends, self.sizes, strict=True)]

    @cached_property
    def classes(self) -> int:
        """Combinations of the conditions that split."""
        return int(np.prod([self.layout.sizes[j] for j in self.split], dtype=np.int64))

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Which column each place of a one-hot record belongs to."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def indices(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of a class's Gram matrix that phi holds."""
        rows, columns = np.nonzero(self.owner[:, None] < self.owner[None, :])
        return rows, columns

    @cached_property
    def unscaled_weights(self) -> Array:
        """What pairs of columns weigh beside each other, float64[k, k]."""
        sizes = np.array(self.sizes, np.float64)
        raw = np.outer(sizes, sizes) ** self.power
        asked = np.array(self.columns) >= len(self.layout.generated)
        return np.where(asked[:, None] | asked, self.condition_weight * raw, raw)

    @cached_property
    def pair_weights(self) -> Array:
        """Of each pair of columns, float64[k, k]; the sum of squares over pairs is 1."""
        raw = self.unscaled_weights
        return np.asarray(raw / np.linalg.norm(raw[np.triu_indices(len(raw), 1)]))

    @property
    def pair_precision(self) -> Array:
        """Inverse noise variance of each pair of codes, in units of the noise: float64[width, width]."""
        between = self.owner[:, None] != self.owner
        return np.asarray((self.pair_weights[self.owner][:, self.owner] * between) ** 2)

    @cached_property
    def weights(self) -> Array:
        """Of each coordinate of a class: float64[count / classes]."""
        rows, columns = self.indices
        return np.asarray(self.pair_weights[self.owner[rows], self.owner[columns]])

    def spread(self, noise: float) -> Array:
        """Standard deviation of the noise in a count of each pair of columns, float64[k, k].

        Infinite where a pair is not measured. noise: of a coordinate of the sum
        """
        weights = self.pair_weights
        return np.divide(noise, weights, out=np.full_like(weights, np.inf), where=weights > 0)

    @property
    def count(self) -> int:
        """Length of phi."""
        return self.classes * len(self.weights)

    @property
    def typical(self) -> float:
        """The root mean square weight of a pair of columns."""
        return float((len(self.sizes) * (len(self.sizes) - 1) / 2) ** -0.5)

    @property
    def smallest(self) -> float:
        """The smallest coordinate of phi."""
        return 0.0

    @property
    def largest(self) -> float:
        """The largest coordinate of phi."""
        return float(self.weights.max())

    def member(self, conditions: Codes) -> NDArray[np.int64]:
        """Which class each row belongs to: int64[rows]. conditions: int64[rows, conditions]."""
        member = np.zeros(len(conditions), np.int64)
        for j in self.split:
            member = member * self.layout.sizes[j] + conditions[:, j - len(self.layout.generated)]
        return member

    def sum(self, codes: Codes, weights: Array) -> Array:
        """Sum of weight * phi over records: float64[count]. codes: int64[records, columns] in model order.

        In float64, so that rounding moves it by less than 1e-9 of a record.
        """
        member = self.member(codes[:, len(self.layout.generated) :])
        places = codes[:, list(self.columns)] + np.array([block.start for block in self.blocks])
        total = np.empty((self.classes, len(self.weights)))
        for value in range(self.classes):
            mine = member == value
            one_hot = np.zeros((int(mine.sum()), len(self.owner)))
            np.put_along_axis(one_hot, places[mine], 1.0, axis=1)
            total[value] = (one_hot.T @ (one_hot * weights[mine, None]))[self.indices]
        return np.asarray((total * self.weights).ravel())

    def matrices(self, total: Array) -> Array:
        """A (noisy) sum as symmetric matrices of counts, float64[classes, width, width].

        The block of a column with itself is zero.
        """
        counts = total.reshape(self.classes, -1) / self.weights
        width = len(self.owner)
        gram = np.zeros((self.classes, width, width))
        gram[:, self.indices[0], self.indices[1]] = counts
        return gram + gram.transpose(0, 2, 1)
