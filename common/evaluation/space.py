"""Where records lie, by their public schema alone: a vector each, whose squared differences are distances.

Tables: after Gower 1971 on the finest codes, the mean over columns of 0 for equal values, else 1 without an
order or if one is missing, else half and half of 1 and the difference of places over the largest one: a
record copied but for one number stays near. Images and signals: the root mean square of the difference of
their lowest frequencies, where values run from 0 to 1. Both lie in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..arrays import Arrays
from ..columns import CategoryColumn, Column
from ..modalities.array_layout import ArrayLayout
from ..modalities.tabular import Codes
from ..schema import ArraySchema, Schema, TableSchema

Vectors = NDArray[np.float32]
Records = Codes | Arrays

_COEFFICIENTS = {3: 16, 2: 64}  # frequencies of each axis that tell images, and of each channel of a signal
_SEED = 20_240_602  # of public hash weights: any number


class Space(Protocol):
    """Vectors of records."""

    @property
    def width(self) -> int:
        """Length of a vector."""

    @property
    def step(self) -> float:
        """The least distance of two records that it tells apart."""

    def embed(self, records: Any) -> Vectors:
        """float32[records, width]."""

    def distance(self, squares: Vectors) -> Vectors:
        """From sums of squared differences to distances in [0, 1], exactly 0 only for equal vectors."""


def space_of(schema: Schema) -> Space:
    """The space that a schema implies."""
    if isinstance(schema, TableSchema):
        return TableSpace(schema)
    assert isinstance(schema, ArraySchema)
    return ArraySpace(ArrayLayout.of(schema))


@dataclass(frozen=True)
class TableSpace:
    """One-hot and unary codes: an ordered value is, too, as many ones as its place says."""

    schema: TableSchema

    @cached_property
    def tables(self) -> list[Vectors]:
        """For each column, the vector of each code: float32[size, bits]."""
        share = np.sqrt(np.float32(1 / len(self.schema.columns)))
        return [_bits(column) * share for column in self.schema.columns]

    @cached_property
    def width(self) -> int:
        """Bits of all columns."""
        return sum(table.shape[1] for table in self.tables)

    @cached_property
    def step(self) -> float:
        """Half a column: equal or not."""
        return 0.5 / len(self.schema.columns)

    def embed(self, records: Codes) -> Vectors:
        """float32[records, width]."""
        return np.concatenate(
            [table[records[:, j]] for j, table in enumerate(self.tables)], axis=1, dtype=np.float32
        )

    def distance(self, squares: Vectors) -> Vectors:
        """The sums themselves; what is below half a step is rounding."""
        return np.where(squares < self.step / 2, np.float32(0), squares.clip(0, 1))


def _bits(column: Column) -> Vectors:
    """Vectors whose squared differences are the distance of two codes of a column."""
    same = np.eye(column.size, dtype=np.float32) * np.float32(np.sqrt(0.5))
    order = places(column)
    if order is None:
        return same
    count = len(order)
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    ones = (np.arange(count - 1) < rank[:, None]).astype(np.float32)
    if not column.missing:
        return np.concatenate([same, ones / np.float32(np.sqrt(count - 1))], axis=1) * np.float32(
            np.sqrt(0.5)
        )
    ordered = np.zeros((count + 1, 2 * count - 1), np.float32)  # so that missing is as far from every value
    ordered[:count, :-1] = np.concatenate([ones, 1 - ones], axis=1) / np.float32(np.sqrt(2 * (count - 1)))
    ordered[count, -1] = np.sqrt(0.5)
    return np.concatenate([same, ordered], axis=1) * np.float32(np.sqrt(0.5))


def places(column: Column) -> NDArray[np.int64] | None:
    """Codes by value, without that of a missing value; None if they have no order."""
    if isinstance(column, CategoryColumn):
        return np.arange(len(column.categories)) if column.ordered else None
    step = 10.0**-column.decimals
    starts = (column.bounds[0], *column.borders)
    return np.argsort(np.array([*column.atoms, *(start + step / 2 for start in starts)]), kind="stable")


@dataclass(frozen=True)
class ArraySpace:
    """The lowest frequencies of images and signals, of whatever class."""

    layout: ArrayLayout

    @cached_property
    def rows(self) -> Vectors:
        """Orthonormal rows over the root of their length: squares add up to a mean. [width, values]."""
        from ..modalities.frequencies import lowest

        found = lowest(self.layout, _COEFFICIENTS[len(self.layout.shape)]).rows.numpy()
        lengths = np.linalg.norm(found, axis=1, keepdims=True) * np.sqrt(self.layout.values)
        return np.asarray(found / lengths / 2, np.float32)  # scaled values run over two units

    @cached_property
    def width(self) -> int:
        """Frequencies of all channels."""
        return len(self.rows)

    @property
    def step(self) -> float:
        """Float32 shows nothing smaller."""
        return 1e-3

    def embed(self, records: Arrays) -> Vectors:
        """float32[records, width]."""
        return np.asarray(self.layout.scaled(self.layout.to_rows(records)) @ self.rows.T, np.float32)

    def distance(self, squares: Vectors) -> Vectors:
        """Their root."""
        return np.asarray(np.sqrt(squares.clip(0, 1)), np.float32)


def keys(records: Records) -> NDArray[np.int64]:
    """A number for each record, equal for equal records; different ones share it with probability 2^-50.

    Of images and signals all values and the class count, bit by bit.
    """
    if isinstance(records, Arrays):
        flat = records.values.reshape(len(records), -1)
        whole = flat if flat.dtype == np.uint8 else (flat + np.float32(0)).view(np.int32)  # -0.0 is 0.0
        codes = np.concatenate([whole.astype(np.int64), records.labels[:, None]], axis=1)
    else:
        codes = records.astype(np.int64)
    random = np.random.default_rng(_SEED)
    weights = random.integers(-(2**62), 2**62, codes.shape[1]) * 2 + 1
    return np.asarray((codes * weights).sum(axis=1))  # wraps around, as a hash may
