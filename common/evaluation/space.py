"""Where records lie, by their public schema alone: vectors of whole numbers, whose squared differences are
distances.

Tables: after Gower 1971 on the finest codes, the mean over columns of 0 for equal values, else 1 without an
order or if one is missing, else half and half of 1 and the difference of places over the largest one: a
record copied but for one number stays near. Images and signals: the root mean square of the difference of
their lowest frequencies, where values run from 0 to 1. Both lie in [0, 1].

Everything is whole numbers below 2^24 in float32, or below 2^53 in float64, so that every sum is exact in
whatever order a matrix product takes it: the distance of a record never depends, not by a rounding, on which
other records it is computed with. A noisy count of records by their distance needs that: a rounding that
moved other records over a border would be a change that the noise does not cover.
"""

from __future__ import annotations

import math
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
_WHOLE = 1 << 23  # the largest distance of two tables' records, and their lengths: whole numbers of float32
_VALUE, _ROW, _FINE = 1 << 11, 1 << 14, 1 << 11  # steps of a value, of a cosine, of a coefficient


class Space(Protocol):
    """Vectors of records.

    The squared distance of two vectors is the sum of weights times squared differences, a whole number.
    """

    @property
    def weights(self) -> Vectors:
        """Of each place of a vector: float32[width], whole."""

    @property
    def step(self) -> float:
        """The least distance of two records that it tells apart."""

    def embed(self, records: Any) -> Vectors:
        """float32[records, width], whole."""

    def distance(self, squares: Vectors) -> Vectors:
        """From squared distances to distances in [0, 1], exactly 0 only for equal vectors."""


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
    def _columns(self) -> list[tuple[Vectors, Vectors]]:
        """Of each column: the bits of each code, float32[size, bits], and their weights."""
        return [_bits(column, self._whole) for column in self.schema.columns]

    @property
    def _whole(self) -> int:
        """What a column adds where two values are as different as can be."""
        return max(4, _WHOLE // len(self.schema.columns) // 4 * 4)

    @cached_property
    def weights(self) -> Vectors:
        """Of the bits of all columns: float32[width]."""
        return np.concatenate([weights for _, weights in self._columns])

    @property
    def step(self) -> float:
        """Half a column: equal or not."""
        return 0.5 / len(self.schema.columns)

    def embed(self, records: Codes) -> Vectors:
        """float32[records, width]."""
        return np.concatenate([bits[records[:, j]] for j, (bits, _) in enumerate(self._columns)], axis=1)

    def distance(self, squares: Vectors) -> Vectors:
        """The mean over columns."""
        return (squares / np.float32(self._whole * len(self.schema.columns))).clip(0, 1)


def _bits(column: Column, whole: int) -> tuple[Vectors, Vectors]:
    """Bits of each code, and weights, whose weighted differences are the distance of two codes."""
    same, order = np.eye(column.size, dtype=np.float32), places(column)
    if order is None:
        return same, np.full(column.size, whole // 2, np.float32)
    count = len(order)
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    ones = (np.arange(count - 1) < rank[:, None]).astype(np.float32)
    equal, each = np.full(column.size, whole // 4, np.float32), max(1, whole // 4 // (count - 1))
    places_ = np.full(2 * (count - 1), each, np.float32)
    ordered = np.concatenate([ones, 1 - ones], axis=1)
    if not column.missing:
        return np.concatenate([same, ordered], axis=1), np.concatenate([equal, places_])
    absent = np.zeros((count + 1, 2 * count - 1), np.float32)  # as far from every value as can be
    absent[:count, :-1], absent[count, -1] = ordered, 1
    rest = np.float32(max(0, whole // 2 - each * (count - 1)))
    return np.concatenate([same, absent], axis=1), np.concatenate([equal, places_, [rest]], dtype=np.float32)


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
    def _rows(self) -> NDArray[np.float64]:
        """Orthonormal rows, as whole numbers: float64[width, values]."""
        from ..modalities.frequencies import lowest

        found = lowest(self.layout, _COEFFICIENTS[len(self.layout.shape)]).rows.numpy()
        return np.asarray(np.rint(found / np.linalg.norm(found, axis=1, keepdims=True) * _ROW))

    @cached_property
    def weights(self) -> Vectors:
        """All alike: float32[width]."""
        return np.ones(len(self._rows), np.float32)

    @property
    def step(self) -> float:
        """Of a coefficient, about."""
        return 2 / _FINE

    def embed(self, records: Arrays) -> Vectors:
        """Coefficients of values rounded to whole steps, rounded themselves: float32[records, width]."""
        values = np.rint(self.layout.scaled(self.layout.to_rows(records)).astype(np.float64) * _VALUE)
        # scaled values run over two units; the squares of coefficients add up to a mean over values
        unit = _FINE / (2 * _VALUE * _ROW * math.sqrt(self.layout.values))
        return np.rint(values @ self._rows.T * unit).astype(np.float32)

    def distance(self, squares: Vectors) -> Vectors:
        """Their root."""
        return np.asarray(np.sqrt(squares) / np.float32(_FINE), np.float32).clip(0, 1)


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
