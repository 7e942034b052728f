"""Records with their units: whoever the guarantee protects, a record or a subject with several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .csprng import Csprng

Rows = NDArray[Any]


@dataclass(frozen=True)
class Records:
    """A site's records, those of one unit next to each other. Never leaves the site.

    rows: one a record; of a table its codes, unsigned integers[records, columns] in schema order; of images
    and signals all values and then the class, uint8 or float32[records, values + 1]
    starts: int64[units + 1], where each unit's records begin
    """

    rows: Rows
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Rows, unit: NDArray[np.int64] | None = None) -> Records:
        """Group records by ``unit``, int64[records], any numbers; without it each record is its own."""
        if unit is None:
            return cls(rows, np.arange(len(rows) + 1))
        order = np.argsort(unit, kind="stable")
        first = np.nonzero(np.diff(unit[order], prepend=unit[order[:1]] - 1))[0]
        return cls(rows[order], np.append(first, len(rows)))

    @property
    def units(self) -> int:
        """How many there are: as secret as the records."""
        return len(self.starts) - 1

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """1 / records of the same unit, so that a unit weighs 1 however many it has: float64[records]."""
        lengths = np.diff(self.starts)
        return np.asarray(np.repeat(1.0 / lengths, lengths))

    def sampled(self, rate: float, random: Csprng) -> Rows:
        """A Poisson sample of units, each with one of its records: [sampled, ...] as ``rows``.

        Adding or removing a unit adds or removes one row at most.
        """
        chosen = np.nonzero(random.uniform(self.units) < rate)[0]
        lengths = np.diff(self.starts)[chosen]
        return self.rows[self.starts[chosen] + (random.uniform(len(chosen)) * lengths).astype(np.int64)]
