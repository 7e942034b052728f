"""What the schema says of several columns at once: where it holds, and totals computed from their parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Category, Column, Number, Values, days_of

Flags = NDArray[np.bool_]
_Records = Mapping[str, Values]


@dataclass(frozen=True, slots=True)
class AtMost:
    """left <= right, once both are multiplied to the same steps; holds where either is missing."""

    left: str
    right: str
    scales: tuple[int, int]

    @property
    def columns(self) -> tuple[str, ...]:
        """Those it speaks of."""
        return self.left, self.right

    def holds(self, records: _Records) -> Flags:
        """bool[records]."""
        left, right = records[self.left], records[self.right]
        fits = left.steps * self.scales[0] <= right.steps * self.scales[1]
        return fits | left.absent | right.absent

    def __str__(self) -> str:
        return f"{self.left} is at most {self.right}"


@dataclass(frozen=True, slots=True)
class Sum:
    """total = parts, each multiplied to the steps of the total; holds where any of them is missing.

    bounds: of the total, in steps
    """

    total: str
    parts: tuple[str, ...]
    scales: tuple[int, ...]
    bounds: tuple[int, int]

    @property
    def columns(self) -> tuple[str, ...]:
        """Those it speaks of."""
        return self.total, *self.parts

    def _of(self, records: _Records) -> tuple[NDArray[np.int64], Flags]:
        """The sum of the parts, and where nothing is known because one of the columns is missing."""
        parts = [records[name] for name in self.parts]
        steps = np.sum([part.steps * scale for part, scale in zip(parts, self.scales, strict=True)], axis=0)
        unknown = np.logical_or.reduce([records[name].absent for name in self.columns])
        return steps, unknown

    def holds(self, records: _Records) -> Flags:
        """bool[records]."""
        steps, unknown = self._of(records)
        return np.asarray((records[self.total].steps == steps) | unknown)

    def completed(self, records: _Records) -> Values:
        """The total, computed from its parts where that stays within its bounds."""
        steps, unknown = self._of(records)
        fits = ~unknown & (steps >= self.bounds[0]) & (steps <= self.bounds[1])
        total = records[self.total]
        return replace(total, steps=np.where(fits, steps, total.steps))

    def __str__(self) -> str:
        return f"{self.total} is the sum of " + ", ".join(self.parts)


@dataclass(frozen=True, slots=True)
class Implies:
    """Where columns have these codes, others have one of these values; None: they are missing.

    when: codes; then: codes of categories, steps of numbers
    """

    when: tuple[tuple[str, int], ...]
    then: tuple[tuple[str, tuple[int, ...] | None], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Those it speaks of."""
        return tuple(name for name, _ in (*self.when, *self.then))

    def met(self, records: _Records) -> Flags:
        """Where all of ``when`` is so: bool[records]."""
        found = [(records[name].steps == code) & ~records[name].absent for name, code in self.when]
        return np.asarray(np.logical_and.reduce(found))

    def holds(self, records: _Records) -> Flags:
        """bool[records]."""
        good = ~self.met(records)
        follows = np.ones(len(good), bool)
        for name, allowed in self.then:
            values = records[name]
            if allowed is None:
                follows &= values.absent
            else:
                follows &= np.isin(values.steps, allowed) & ~values.absent
        return good | follows

    def __str__(self) -> str:
        names = [" and ".join(name for name, _ in side) for side in (self.when, self.then)]
        return f"{names[0]} implies {names[1]}"


Constraint = AtMost | Sum | Implies


def read_constraints(raw: Sequence[dict[str, Any]], columns: Sequence[Column]) -> tuple[Constraint, ...]:
    """Constraints as the schema's JSON has them. Raises KeyError, TypeError or ValueError on others."""
    named = {column.name: column for column in columns}
    return tuple(_read(entry, named) for entry in raw)


def _read(entry: dict[str, Any], named: Mapping[str, Column]) -> Constraint:
    if entry["kind"] == "at-most":
        left, right = (_number(named, entry[side]) for side in ("left", "right"))
        most = max(left.decimals, right.decimals)
        return AtMost(left.name, right.name, (10 ** (most - left.decimals), 10 ** (most - right.decimals)))
    if entry["kind"] == "sum":
        total, parts = _number(named, entry["total"]), [_number(named, name) for name in entry["parts"]]
        scales = tuple(10 ** (total.decimals - part.decimals) for part in parts)
        if not all(isinstance(scale, int) for scale in scales) or not parts:
            raise ValueError("parts with more decimals than their total")
        return Sum(total.name, tuple(part.name for part in parts), scales, total.bounds)
    if entry["kind"] != "implies":
        raise ValueError("a constraint of no known kind")
    when = tuple((name, _steps(named[name], value)) for name, value in entry["when"].items())
    then = tuple(
        (name, None if values == "missing" else tuple(_steps(named[name], value) for value in values))
        for name, values in entry["then"].items()
    )
    return Implies(when, then)


def _number(named: Mapping[str, Column], name: str) -> Number:
    column = named[name]
    if not isinstance(column, Number):
        raise ValueError("a constraint on a column that is no number")
    return column


def _steps(column: Column, value: str | float) -> int:
    if isinstance(column, Category):
        return [str(one) for one in column.categories].index(str(value))
    if column.date:
        return days_of(str(value))
    steps: float = float(value) * 10**column.decimals
    return round(steps)


def completed(constraints: Sequence[Constraint], records: Mapping[str, Values]) -> dict[str, Values]:
    """Records with every total computed from its parts, those of parts first."""
    sums = {one.total: one for one in constraints if isinstance(one, Sum)}
    found = dict(records)
    for name in TopologicalSorter({one.total: one.parts for one in sums.values()}).static_order():
        if name in sums:
            found[name] = sums[name].completed(found)
    return found
