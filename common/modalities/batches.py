"""Sums of a table's features over its rows, a batch at a time: memory does not grow with records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .tabular import Codes

Array = NDArray[np.float64]

_NUMBERS = 1 << 23  # of one-hot records that are in memory at once, 64 MiB
_FEWEST = 1 << 10


class Summed(Protocol):
    """A feature map of tables."""

    def sum(self, codes: Codes, weights: Array) -> Array:
        """Sum of weight * phi over records."""


def batch(width: int) -> int:
    """Records whose one-hot codes, so many numbers each, are made at once."""
    return max(_FEWEST, _NUMBERS // width)


def sum_of_batches(
    phi: Summed, rows: NDArray[Any], weights: Array, size: int, as_seen: Callable[[NDArray[Any]], Codes]
) -> Array:
    """phi's sum over all rows, ``size`` at a time. as_seen: a batch of rows as phi takes them.

    The order in which float64 numbers are added is all that differs from one sum of everything.
    """
    total = phi.sum(as_seen(rows[:size]), weights[:size])
    for start in range(size, len(rows), size):
        part = slice(start, start + size)
        total += phi.sum(as_seen(rows[part]), weights[part])
    return total
