"""Records with their units: whoever the guarantee protects, a record or a subject with several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .csprng import Csprng
from .modalities.tabular import Codes


@dataclass(frozen=True)
class Records:
    """A site's records, those of one unit next to each other. Never leaves the site.

    codes: int64[records, columns] in schema order; starts: int64[units + 1], where each unit's records begin
    """

    codes: Codes
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, codes: Codes, unit: NDArray[np.int64] | None = None) -> Records:
        """Group records by ``unit``, int64[records], any numbers; without it each record is its own."""
        if unit is None:
            return cls(codes, np.arange(len(codes) + 1))
        order = np.argsort(unit, kind="stable")
        first = np.nonzero(np.diff(unit[order], prepend=unit[order[:1]] - 1))[0]
        return cls(codes[order], np.append(first, len(codes)))

    @property
    def units(self) -> int:
        """How many there are: as secret as the records."""
        return len(self.starts) - 1

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """1 / records of the same unit, so that a unit weighs 1 however many it has: float64[records]."""
        lengths = np.diff(self.starts)
        return np.asarray(np.repeat(1.0 / lengths, lengths))

    def sampled(self, rate: float, random: Csprng) -> Codes:
        """A Poisson sample of units, each with one of its records: int64[sampled, columns].

        Adding or removing a unit adds or removes one row at most.
        """
        chosen = np.nonzero(random.uniform(self.units) < rate)[0]
        lengths = np.diff(self.starts)[chosen]
        return self.codes[self.starts[chosen] + (random.uniform(len(chosen)) * lengths).astype(np.int64)]
