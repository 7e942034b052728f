"""How both sides see an image or a signal: values between -1 and 1, then the class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Arrays
from ..schema import ArraySchema, ImageSchema, SignalSchema

_WHITE = 255.0


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """Shape of a record and public bounds of its channels.

    shape: channels, then height and width, or length; classes: of the label
    bounds: smallest and largest value of each channel, which become -1 and 1; whole: values are integers
    """

    shape: tuple[int, ...]
    classes: int
    bounds: tuple[tuple[float, float], ...]
    whole: bool

    @classmethod
    def of(cls, schema: ArraySchema) -> ArrayLayout:
        """The layout that a schema implies."""
        if isinstance(schema, ImageSchema):
            return cls(schema.shape, schema.classes, ((0.0, _WHITE),) * schema.channels, True)
        assert isinstance(schema, SignalSchema)
        return cls(schema.shape, schema.classes, tuple(c.bounds for c in schema.channels), False)

    @property
    def values(self) -> int:
        """Values of a record."""
        return math.prod(self.shape)

    @property
    def conditions(self) -> tuple[int, ...]:
        """Codes of each condition: there is one, the label."""
        return (self.classes,)

    @property
    def condition_width(self) -> int:
        """Length of the one-hot label."""
        return self.classes

    @property
    def width(self) -> int:
        """Length of a record with its one-hot label, as networks see it."""
        return self.values + self.classes

    def condition_grid(self) -> NDArray[np.int64]:
        """All labels, int64[classes, 1]."""
        return np.arange(self.classes)[:, None]

    def to_rows(self, arrays: Arrays) -> NDArray[Any]:
        """One row a record, the class last: uint8 or float32[records, values + 1]."""
        flat = arrays.values.reshape(len(arrays), self.values)
        return np.concatenate([flat, arrays.labels[:, None].astype(flat.dtype)], axis=1)

    def to_arrays(self, rows: NDArray[Any]) -> Arrays:
        """Inverse of ``to_rows``."""
        return Arrays(rows[:, : self.values].reshape(len(rows), *self.shape), self.labels(rows))

    def scaled(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Values between -1 and 1: float32[records, values]."""
        middle, half = self._scale
        return np.asarray((rows[:, : self.values] - middle) / half, np.float32)

    def labels(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Classes: int64[records]."""
        return rows[:, self.values].astype(np.int64)

    def natural(self, scaled: NDArray[np.float32]) -> NDArray[Any]:
        """Inverse of ``scaled``, as a file holds it: uint8 or float32[records, channels, ...]."""
        middle, half = self._scale
        values = np.clip(scaled, -1.0, 1.0) * half + middle
        values = np.rint(values).astype(np.uint8) if self.whole else values.astype(np.float32)
        return values.reshape(len(scaled), *self.shape)

    @property
    def _scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Middle and half width of each value's bounds: float32[values] each."""
        low, high = np.array(self.bounds, np.float32).T
        each = self.values // len(self.bounds)
        return np.repeat((low + high) / 2, each), np.repeat((high - low) / 2, each)
