"""Codes into fewer codes, by released histograms: bins of about equal mass, rare categories in one group.

The schema fixes how many groups a column has at most; which codes form a group is found from noisy counts,
and so is how a group's codes are shared out again when a record is drawn. All of it is post-processing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..columns import CategoryColumn, Column
from ..errors import MalformedMessageError
from ..sampler.drawing import spread
from ..schema import TableSchema
from .simplex import to_simplex
from .tabular import Codes

Array = NDArray[np.float64]

_BINS, _MOST_BINS = 16, 24  # of an ordered column: about equal shares; at most, where noise is faint
_RARE = 0.007  # share below which categories are put together
_BIN_IN_NOISE, _RARE_IN_NOISE = 20.0, 4.5  # the same, in standard deviations of a pair count's share
_FINE_IN_NOISE = 48.0  # and that of a bin smaller than a 16th
_HEAVY, _LIGHT = 0.8, 0.3  # of a bin's share: a code that stays alone, a bin that is closed before it
_REACH = 2  # neighbours on either side that a cell is smoothed with


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which group each code belongs to, and its share of it.

    groups: int64[sum of schema.sizes]; shares: float64 of the same length, 1 in total for each group used
    """

    groups: NDArray[np.int64]
    shares: Array

    @classmethod
    def of_itself(cls, schema: TableSchema) -> Grouping:
        """Every code its own group; only for a schema whose columns have as many groups as codes."""
        groups = np.concatenate([np.arange(size) for size in schema.sizes])
        return cls(groups, np.ones(len(groups)))

    @classmethod
    def from_counts(
        cls, counts: list[Array], deviations: Array, pair_deviation: float, schema: TableSchema
    ) -> Grouping:
        """From noisy counts of each column's codes, as many groups as the coming noise lets one tell apart.

        deviations: of the noise in a count, by column; pair_deviation: of that in a pair's count to come
        """
        records = max(1.0, float(np.median([raw.sum() for raw in counts])))
        noise = pair_deviation / records
        finest = min(1 / _BINS, max(1 / _MOST_BINS, _FINE_IN_NOISE * noise))
        bin_share = max(finest, _BIN_IN_NOISE * noise)
        rare_share = max(_RARE, _RARE_IN_NOISE * noise)
        groups, shares = [], []
        for column, raw, deviation in zip(schema.columns, counts, deviations, strict=True):
            order = _order(column)
            if order is None:
                mass = np.maximum(raw, 0.0)
            else:  # empty cells are many: cut off at zero, their noise would add up to a tail
                mass = records * to_simplex(_smoothed(raw, order, float(deviation)) / records)
            found = _grouped(mass, order, column, bin_share, rare_share)
            if order is None:
                mass = _shrunk(mass, found, column, float(deviation))
            total = np.bincount(found, mass, column.groups)[found]
            even = 1.0 / np.bincount(found, minlength=column.groups)[found]
            groups.append(found)
            shares.append(np.divide(mass, total, out=even, where=total > 0))
        return cls(np.concatenate(groups).astype(np.int64), np.concatenate(shares))

    @classmethod
    def from_wire(cls, groups: NDArray[np.int64], schema: TableSchema) -> Grouping:
        """What the coordinator says; a site needs no shares. Raises MalformedMessageError.

        Any grouping is as private as any other: a record falls into one group a column.
        """
        if groups.shape != (sum(schema.sizes),):
            raise MalformedMessageError("a grouping for another schema")
        limits = np.repeat(schema.groups, schema.sizes)
        if (groups < 0).any() or (groups >= limits).any():
            raise MalformedMessageError("a grouping with a group that the schema does not have")
        return cls(groups, np.ones(len(groups)))

    def to_groups(self, codes: Codes, schema: TableSchema) -> Codes:
        """int64[records, columns] as encoded to the same as the models see it."""
        return np.asarray(self.groups[codes + _offsets(schema)], np.int64)

    def to_codes(self, grouped: Codes, schema: TableSchema, random: np.random.Generator) -> Codes:
        """The inverse: the rows of a group are spread evenly over its codes by their shares."""
        codes = np.empty_like(grouped)
        for position, (start, size) in enumerate(zip(_offsets(schema), schema.sizes, strict=True)):
            part = slice(start, start + size)
            codes[:, position] = spread(self.groups[part], self.shares[part], grouped[:, position], random)
        return codes


def _offsets(schema: TableSchema) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(schema.sizes)[:-1]]).astype(np.int64)


def _order(column: Column) -> NDArray[np.int64] | None:
    """Codes by value, without that of a missing value; None if they have no order."""
    if isinstance(column, CategoryColumn):
        return np.arange(len(column.categories)) if column.ordered else None
    step = 10.0**-column.decimals
    places = [*column.atoms, *(start + step / 2 for start in (column.bounds[0], *column.borders))]
    return np.argsort(np.array(places), kind="stable")


def _smoothed(counts: Array, order: NDArray[np.int64], deviation: float) -> Array:
    """Counts moved towards their moving average, as far as noise explains the difference nearby."""
    values = counts[order]
    mean = _neighbours(values).mean(0)
    nearby = _neighbours((values - mean) ** 2).mean(0)
    noise = deviation**2 * (1 - 1 / (2 * _REACH + 1))
    keep = np.clip(1 - noise / np.maximum(nearby, 1e-9), 0, 1)
    result = counts.copy()
    result[order] = mean + keep * (values - mean)
    return result


def _neighbours(values: Array) -> Array:
    """[2 * _REACH + 1, n]: each value's neighbours, the ends repeated."""
    place = np.arange(len(values)) + np.arange(-_REACH, _REACH + 1)[:, None]
    return np.asarray(values[np.clip(place, 0, len(values) - 1)])


def _shrunk(mass: Array, groups: NDArray[np.int64], column: Column, deviation: float) -> Array:
    """Counts of a group of rare categories moved towards their mean, as far as noise explains the spread."""
    rare = np.bincount(groups, minlength=column.groups).argmax()
    inside = groups == rare
    if inside.sum() < 4:
        return mass
    values = mass[inside]
    keep = max(0.0, 1 - deviation**2 / max(float(values.var(ddof=1)), 1e-9))
    result = mass.copy()
    result[inside] = values.mean() + keep * (values - values.mean())
    return result


def _grouped(
    mass: Array, order: NDArray[np.int64] | None, column: Column, bin_share: float, rare_share: float
) -> NDArray[np.int64]:
    if column.condition:
        return np.arange(column.size)
    share = mass / max(float(mass.sum()), 1e-9)
    if order is None:
        assert isinstance(column, CategoryColumn)
        return _common(share, column, rare_share)
    most = column.groups - column.missing
    goal = min(bin_share, 0.5)
    while (found := _runs(share[order], goal)).max() >= most:
        goal *= 1.1
    groups = np.full(column.size, column.groups - 1)  # the last is that of a missing value
    groups[order] = found
    return groups


def _common(share: Array, column: CategoryColumn, rare: float) -> NDArray[np.int64]:
    """Common categories one by one, the rare ones in the group after them; missing stays missing."""
    count = len(column.categories)
    most = count if column.keep is None else column.keep
    wanted = np.argsort(-share[:count], kind="stable")[:most]
    kept = np.sort(wanted[share[wanted] >= rare])
    if len(kept) == count - 1:  # one alone needs no group of its own kind
        kept = np.arange(count)
    groups = np.full(column.size, column.groups - 1)
    groups[:count] = len(kept)
    groups[kept] = np.arange(len(kept))
    return groups


def _runs(share: Array, goal: float) -> NDArray[np.int64]:
    """Neighbouring codes in runs of about ``goal``; a heavy code stays alone."""
    groups, number, mass, empty = np.empty(len(share), np.int64), 0, 0.0, True
    for place, part in enumerate(share):
        if not empty and part >= _HEAVY * goal and mass >= _LIGHT * goal:
            number, mass = number + 1, 0.0
        groups[place], empty = number, False
        mass += part
        if mass >= goal:
            number, mass, empty = number + 1, 0.0, True
    if number and not empty and mass < _LIGHT * goal:
        groups[groups == number] -= 1
    return groups
