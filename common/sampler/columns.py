"""Columns of a table: what a code means, and values drawn for it.

Values are integers, in which sums and comparisons are exact: codes of categories, days since 1970-01-01 of
dates, steps of 10**-decimals of numbers.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
_EPOCH = datetime.date(1970, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """A column of records. steps: int64[records], anything where absent; absent: bool[records]."""

    steps: NDArray[np.int64]
    absent: NDArray[np.bool_]

    def take(self, rows: Any) -> Values:
        """Some of the records."""
        return Values(self.steps[rows], self.absent[rows])


@dataclass(frozen=True, slots=True)
class Category:
    """A fixed list of values; the code after the last is that of a missing value, if there may be one."""

    name: str
    categories: tuple[str, ...] | tuple[int, ...]
    ordered: bool
    missing: bool
    condition: bool

    @property
    def size(self) -> int:
        """Number of codes."""
        return len(self.categories) + self.missing

    def draw(self, codes: Codes, random: np.random.Generator) -> Values:
        """A category says everything."""
        del random
        return Values(codes, codes == len(self.categories))

    def plain(self, values: Values) -> NDArray[Any]:
        """As written: object[records] of texts, or int64[records]; object with None where missing."""
        whole = isinstance(self.categories[0], int)
        table = np.array([*self.categories, None], object)
        found = table[np.where(values.absent, len(self.categories), values.steps)]
        return found.astype(np.int64) if whole and not values.absent.any() else found


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """Numbers or dates. Codes: ``atoms`` single values, then bins, then missing.

    lows, highs: first and last value of each code, int64[codes without missing]
    log: values of a bin spread by their logarithm
    """

    name: str
    date: bool
    decimals: int
    atoms: int
    lows: NDArray[np.int64]
    highs: NDArray[np.int64]
    log: bool
    missing: bool

    condition = False

    @property
    def size(self) -> int:
        """Number of codes."""
        return len(self.lows) + self.missing

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest allowed value, in steps."""
        return int(self.lows.min()), int(self.highs.max())

    def draw(self, codes: Codes, random: np.random.Generator) -> Values:
        """A value for each code, spread over its bin; a wide outer bin thins out towards the bound."""
        absent = codes == len(self.lows)
        bins = np.minimum(codes, len(self.lows) - 1)
        low, high = self.lows[bins], self.highs[bins]
        place = self._thinned(random.random(len(codes)), bins)
        steps = low + np.floor(place * (high - low + 1)).astype(np.int64)
        if self.log:  # a bin that starts at zero has no logarithm; it stays uniform
            above = np.maximum(low, 1)
            spread = np.floor(above * ((high + 1) / above) ** place).astype(np.int64)
            steps = np.where(low > 0, spread, steps)
        steps = np.clip(steps, low, high)
        if self.atoms:  # an atom has a code of its own, a bin never draws it
            steps += (bins >= self.atoms) & np.isin(steps, self.lows[: self.atoms])
        return Values(steps, absent)

    def _thinned(self, place: NDArray[np.float64], bins: Codes) -> NDArray[np.float64]:
        """Places in [0, 1] of uniform ones, those of outer bins nearer to the neighbouring bin.

        Bounds are what may occur at all, cuts where values do: the far end of a wide outer bin is mostly
        empty. From twice the width of the next bin on, the density falls by 1/e in each such width; if the
        two are alike, it does not fall.
        """
        first, last = self.atoms, len(self.lows) - 1
        if last - first < 2:
            return place
        for outer, beside in ((first, first + 1), (last, last - 1)):
            ratio = self._wider(outer, beside)
            rate = min(ratio, 2 * (ratio - 1))
            if rate > 0:
                far = -np.log1p(place * np.expm1(-rate)) / rate
                place = np.where(bins == outer, far if outer == last else 1 - far, place)
        return place

    def _wider(self, outer: int, beside: int) -> float:
        """How many times as wide an outer bin is, on the scale that its values spread by."""
        if self.log and self.lows[outer] > 0:
            ends = np.log([*((self.highs[i] + 1) / self.lows[i] for i in (outer, beside))])
            return float(ends[0] / ends[1])
        outer_width, width = (self.highs[i] - self.lows[i] + 1 for i in (outer, beside))
        return float(outer_width / width)

    def plain(self, values: Values) -> NDArray[Any]:
        """As written: int64 or float64[records], ISO dates as text; object with None where missing."""
        found: NDArray[Any] = values.steps
        if self.date:
            days = np.where(values.absent, 0, found).astype("datetime64[D]")
            found = np.datetime_as_string(days).astype(object)
        elif self.decimals:
            found = found / 10**self.decimals  # the nearest float64, which prints as the decimal number
        if values.absent.any():
            found = found.astype(object)
            found[values.absent] = None
        return found


Column = Category | Number


def days_of(text: str) -> int:
    """Days since 1970-01-01 of an ISO date. Raises ValueError."""
    day = datetime.date.fromisoformat(text)
    if day.isoformat() != text:  # ISO has other forms, by weeks and without hyphens
        raise ValueError("not as dates are written")
    return (day - _EPOCH).days
