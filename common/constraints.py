"""What a schema says of several columns at once. It holds in every record, of a site and drawn.

A record with a missing value on either side of ``at-most`` or anywhere in ``sum`` passes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from .columns import MOST_STEPS, CategoryColumn, NumberColumn, days_of

MOST_CONSTRAINTS = 64
"""Of a schema."""

_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_Columns = Mapping[str, CategoryColumn | NumberColumn]
_Name = Annotated[str, Field(min_length=1)]


class AtMost(BaseModel):
    """left <= right: two numbers or two dates."""

    model_config = _MODEL
    kind: Literal["at-most"] = "at-most"
    left: _Name
    right: _Name


class Sum(BaseModel):
    """total = the sum of parts, exactly, at the decimals of the total."""

    model_config = _MODEL
    kind: Literal["sum"] = "sum"
    total: _Name
    parts: tuple[_Name, ...] = Field(min_length=2, max_length=64)


class Implies(BaseModel):
    """Where every column of ``when`` has its value, every column of ``then`` has one of its values.

    when: category columns; then: categories, numbers or ISO dates, or the word ``missing`` for no value
    """

    model_config = _MODEL
    kind: Literal["implies"] = "implies"
    when: dict[_Name, str | int] = Field(min_length=1, max_length=16)
    then: dict[_Name, tuple[str | int | float, ...] | Literal["missing"]] = Field(min_length=1, max_length=16)


Constraint = Annotated[AtMost | Sum | Implies, Field(discriminator="kind")]


def check_constraints(constraints: Sequence[AtMost | Sum | Implies], columns: _Columns) -> None:
    """Raise ValueError if a column does not exist or is of the wrong kind, or no record could hold."""
    for number, constraint in enumerate(constraints, 1):
        try:
            if isinstance(constraint, AtMost):
                _check_order(constraint, columns)
            elif isinstance(constraint, Sum):
                _check_sum(constraint, columns)
            else:
                _check_implication(constraint, columns)
        except ValueError as error:
            raise ValueError(f"constraint {number} ({constraint.kind}): {error}") from None
    _check_totals([constraint for constraint in constraints if isinstance(constraint, Sum)])


def _check_order(constraint: AtMost, columns: _Columns) -> None:
    left, right = _number(constraint.left, columns), _number(constraint.right, columns)
    if left.name == right.name:
        raise ValueError("two different columns are compared")
    if left.kind != right.kind:
        raise ValueError("a date cannot be compared with a number")
    if left.bounds[0] > right.bounds[1]:
        raise ValueError(f"{left.name} is always above {right.name}, by their bounds")
    _check_digits([left, right])


def _check_sum(constraint: Sum, columns: _Columns) -> None:
    total, parts = _number(constraint.total, columns), [_number(name, columns) for name in constraint.parts]
    if len({total.name, *constraint.parts}) != len(parts) + 1:
        raise ValueError("total and parts are different columns")
    if any(column.kind == "date" for column in (total, *parts)):
        raise ValueError("dates cannot be added")
    if any(part.decimals > total.decimals for part in parts):
        raise ValueError(f"{total.name} needs as many decimals as its parts")
    low, high = (sum(part.bounds[end] for part in parts) for end in (0, 1))
    if low > total.bounds[1] or high < total.bounds[0]:
        raise ValueError(f"no sum of the parts lies within the bounds of {total.name}")
    _check_digits([total, *parts])


def _check_implication(constraint: Implies, columns: _Columns) -> None:
    if both := sorted(constraint.when.keys() & constraint.then.keys()):
        raise ValueError(f"{both[0]} stands on both sides")
    for name, value in constraint.when.items():
        column = _column(name, columns)
        if not isinstance(column, CategoryColumn):
            raise ValueError(f"{name} is no category column, as every column of when must be")
        _check_category(column, value)
    for name, values in constraint.then.items():
        column = _column(name, columns)
        if values == "missing":
            if not column.missing:
                raise ValueError(f"{name} cannot be missing")
            continue
        if not values:
            raise ValueError(f"{name} is left without a value")
        for one in values:
            if isinstance(column, CategoryColumn):
                _check_category(column, one)
            else:
                number_of(one, column)


def number_of(value: str | float, column: NumberColumn) -> float:
    """A value as written in a constraint, as the column counts it. Raises ValueError if it is not allowed."""
    if column.kind == "date":
        found = days_of(value)
    elif isinstance(value, str):
        raise ValueError(f"{value!r} is no number, as {column.name} has them")
    else:
        found = float(value)
    if not column.bounds[0] <= found <= column.bounds[1] or round(found, column.decimals) != found:
        raise ValueError(f"{column.name} never has the value {value}")
    return found


def _check_category(column: CategoryColumn, value: str | float) -> None:
    if not any(value == one and type(value) is type(one) for one in column.categories):
        raise ValueError(f"{column.name} has no category {value!r}")


def _check_digits(columns: Sequence[NumberColumn]) -> None:
    """All of them, and their sum, in steps of the finest, still fit into an integer."""
    finest = max(column.decimals for column in columns)
    if sum(max(map(abs, column.bounds)) for column in columns) * 10**finest > MOST_STEPS:
        raise ValueError("bounds with more digits together than a computer's numbers hold")


def _check_totals(sums: Sequence[Sum]) -> None:
    parts_of: dict[str, tuple[str, ...]] = {}
    for one in sums:
        if one.total in parts_of:
            raise ValueError(f"{one.total} is the total of two sums")
        parts_of[one.total] = one.parts
    try:
        TopologicalSorter(parts_of).prepare()
    except CycleError:
        raise ValueError("a total is part of itself, by way of other sums") from None


def _column(name: str, columns: _Columns) -> CategoryColumn | NumberColumn:
    if name not in columns:
        raise ValueError(f"there is no column {name!r}")
    return columns[name]


def _number(name: str, columns: _Columns) -> NumberColumn:
    column = _column(name, columns)
    if not isinstance(column, NumberColumn):
        raise ValueError(f"{name} is no number or date column")
    return column
