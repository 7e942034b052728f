"""What somebody asks for: ``diagnosis=mild``, ``age=60..70``, ``since=2020-01-01..``, ``smoker=`` (missing).

Conditions of the generator become inputs of the network; of other columns, what records are judged by.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException

import numpy as np
from numpy.typing import NDArray

from .columns import Category, Number, Values, days_of
from .errors import ImpossibleError, RequestError, UnknownValueError
from .table import Table

_SHOWN = 20  # values in a hint
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What a column's values shall be. codes: of a category, bool[size]; else steps from low to high.

    absent: whether the value shall be missing
    """

    codes: NDArray[np.bool_] | None = None
    low: int = 0
    high: int = 0
    absent: bool = False

    def holds(self, values: Values) -> NDArray[np.bool_]:
        """bool[records]."""
        if self.absent:
            return values.absent
        if self.codes is not None:
            return np.asarray(self.codes[values.steps] & ~values.absent)
        return (values.steps >= self.low) & (values.steps <= self.high) & ~values.absent


def read_wanted(texts: Sequence[str], table: Table) -> dict[str, Wanted]:
    """By column. Raises RequestError, UnknownValueError, or ImpossibleError if no record can have it."""
    found: dict[str, Wanted] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise RequestError(f"{text!r} is not NAME=VALUE", hint="e.g. health=poor, age=60..70")
        column = table.column(name)
        if column is None:
            names = [one.name for one in table.columns]
            raise UnknownValueError(
                f"{name!r} is no column of this generator", hint="columns: " + _few(names)
            )
        if name in found:
            raise RequestError(f"{name} is asked for twice", hint="one value, or a range LOW..HIGH")
        wanted = _missing(column) if value == "" else None
        if wanted is None:
            wanted = _category(column, value) if isinstance(column, Category) else _number(column, value)
        _refuse_never(column, wanted, table)
        found[name] = wanted
    return found


def _missing(column: Category | Number) -> Wanted:
    if not column.missing:
        raise ImpossibleError(
            f"{column.name} is never missing, by the schema", hint=f"{column.name}=VALUE, or leave it out"
        )
    return Wanted(absent=True)


def _category(column: Category, value: str) -> Wanted:
    known = [str(one) for one in column.categories]
    codes = np.zeros(column.size, bool)
    if value in known:
        codes[known.index(value)] = True
        return Wanted(codes)
    low, dots, high = value.partition("..")
    ends = [end for end in (low, high) if end]
    ranked = column.ordered or isinstance(column.categories[0], int)
    if not dots or not ranked or not ends or any(end not in known for end in ends):
        raise UnknownValueError(
            f"{column.name} has no value {value!r:.40}",
            hint=f"allowed values of {column.name}: " + _few(known),
        )
    rank = np.argsort(np.argsort(column.categories)) if not column.ordered else np.arange(len(known))
    first = rank[known.index(low)] if low else 0
    last = rank[known.index(high)] if high else len(known) - 1
    if first > last:
        raise ImpossibleError(f"{column.name}: the range {low}..{high} is empty", hint=f"{high}..{low}")
    codes[: len(known)] = (rank >= first) & (rank <= last)
    return Wanted(codes)


def _number(column: Number, value: str) -> Wanted:
    low, dots, high = value.partition("..")
    ends = (low, high if dots else low)
    try:
        steps = [_steps(column, end) if end else None for end in ends]
    except (ValueError, DecimalException):
        kind = "dates such as 2024-12-31" if column.date else "numbers"
        raise UnknownValueError(
            f"{column.name}: {value!r:.40} is not understood",
            hint=f"{kind}: VALUE, LOW..HIGH, LOW.. or ..HIGH",
        ) from None
    if steps[0] is not None and steps[1] is not None and steps[0] > steps[1]:
        raise ImpossibleError(f"{column.name}: the range {value:.40} is empty", hint=f"{high}..{low}")
    smallest, largest = column.bounds
    first = smallest if steps[0] is None else math.ceil(steps[0])
    last = largest if steps[1] is None else math.floor(steps[1])
    if first > last or first > largest or last < smallest:
        bounds = " to ".join(_written(column, end) for end in column.bounds)
        raise ImpossibleError(
            f"{column.name}: no value of the schema lies in {value[:40]}",
            hint=f"{column.name} goes from {bounds}",
        )
    return Wanted(low=max(first, smallest), high=min(last, largest))


def _steps(column: Number, text: str) -> Decimal:
    if column.date:
        return Decimal(days_of(text))
    if not _NUMBER.fullmatch(text):  # Decimal would take 1_0, and digits of other scripts
        raise ValueError("not as numbers are written")
    found = Decimal(text)
    if not found.is_finite() or abs(found) > Decimal(2**60):
        raise ValueError("not a number that is used")
    return found.scaleb(column.decimals)


def _written(column: Number, steps: int) -> str:
    values = Values(np.array([steps]), np.zeros(1, bool))
    return str(column.plain(values)[0])


def _refuse_never(column: Category | Number, wanted: Wanted, table: Table) -> None:
    """Codes that the release gives no share are never drawn."""
    place = table.columns.index(column)
    shares = table.shares[table.starts[place] : table.starts[place + 1]]
    if column.condition or _total_of_sum(column, table):
        return
    if wanted.absent:
        possible = np.arange(column.size) == column.size - 1
    elif wanted.codes is not None:
        possible = wanted.codes
    else:
        assert isinstance(column, Number)
        possible = np.zeros(column.size, bool)
        possible[: len(column.lows)] = (column.lows <= wanted.high) & (column.highs >= wanted.low)
    if not (shares[possible] > 0).any():
        raise ImpossibleError(
            f"{column.name}: the released counts hold nothing there, so nothing is ever drawn",
            hint="widen the range",
        )


def _total_of_sum(column: Category | Number, table: Table) -> bool:
    return any(getattr(one, "total", None) == column.name for one in table.constraints)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
