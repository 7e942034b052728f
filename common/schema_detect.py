"""Propose a schema for a person to edit. What it proposes is declared by that person, not measured.

Looking at records to write a public schema is a leak unless somebody rounds and widens what is seen;
so bounds are rounded outward to one significant digit, and the file says what to check.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from pydantic import ValidationError

from .columns import ISO_DATE, MOST_STEPS, CategoryColumn, NumberColumn
from .errors import DataError
from .schema import TableSchema
from .toml_file import first_problem

_MOST_CATEGORIES = 20
_BINS = 10
_LARGEST = 1e12
_SPIKE = 0.05  # share of zeros that earns zero a code of its own

HEADER = """\
# Proposed from a table, for a person to edit. Declared, not measured: whatever stays in this file
# becomes public and is not protected by the privacy budget.
#   - widen bounds to what is possible, not what was seen
#   - say what holds between columns: [[constraints]], docs/simulate.md
#   - list categories that could occur, not only those that did
#   - set condition = true for the columns the generator should take as inputs
#   - name the subject column, if a person may have several records

"""


def detect(frame: pd.DataFrame, name: str) -> TableSchema:
    """A schema that the table fits. Raises DataError if a column fits no type."""
    if frame.empty:
        raise DataError("the table has no rows", hint="a proposal needs at least one record")
    if len(frame.columns) < 2:
        raise DataError("a table needs at least two columns")
    try:
        columns = [_column(str(label), frame[label]) for label in frame.columns]
        if not any(isinstance(column, CategoryColumn) for column in columns):
            raise DataError(
                "no column looks like a category, so none can be a condition",
                hint=f"a condition has at most {_MOST_CATEGORIES} different values",
            )
        _choose_condition(columns)
        return TableSchema(name=name, columns=tuple(columns))
    except ValidationError as error:
        raise DataError(
            f"no schema fits this table: {first_problem(error)}", hint="rename or drop the column"
        ) from error


def _choose_condition(columns: list[CategoryColumn | NumberColumn]) -> None:
    """The last category without missing values; a person will know better."""
    for position in range(len(columns) - 1, -1, -1):
        column = columns[position]
        if isinstance(column, CategoryColumn) and not column.missing:
            columns[position] = column.model_copy(update={"condition": True})
            return
    raise DataError("every category column has missing values; none can be a condition")


def _column(label: str, series: pd.Series) -> CategoryColumn | NumberColumn:
    missing = bool(series.isna().any())
    present = series.dropna()
    if (days := _days(present)) is not None:
        return _date(label, days, missing)
    if not pd.api.types.is_numeric_dtype(series) or pd.api.types.is_bool_dtype(series):
        values = sorted(present.astype(str).unique())
        if not 2 <= len(values) <= 1000:
            raise DataError(
                f"column {label!r} is text with {len(values)} different values",
                hint="drop it (an identifier is never modelled), or group its values",
            )
        return CategoryColumn(name=label, categories=tuple(values), missing=missing)
    numbers = present.to_numpy(np.float64)
    if len(numbers) == 0 or not (np.abs(numbers) < _LARGEST).all():
        raise DataError(
            f"column {label!r} is empty, or holds numbers that are not finite or beyond {_LARGEST:g}",
            hint="drop it, repair it, or choose another unit",
        )
    whole = bool((numbers == np.floor(numbers)).all())
    if whole and len(np.unique(numbers)) == 2:
        return CategoryColumn(
            name=label, categories=tuple(int(v) for v in np.unique(numbers)), missing=missing
        )
    return _number(label, numbers, whole, missing)


def _days(present: pd.Series) -> pd.Series | None:
    """Dates, if all values are ISO dates or days of Parquet, and not all the same."""
    if not pd.api.types.is_datetime64_dtype(present):
        text = present.astype("str")
        if pd.api.types.is_numeric_dtype(present) or not text.str.fullmatch(ISO_DATE).all():
            return None
        present = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
    whole = present.notna().all() and (present == present.dt.normalize()).all()
    return present if whole and present.nunique() > 1 else None


def _date(label: str, days: pd.Series, missing: bool) -> NumberColumn:
    """Whole years around what was seen."""
    content = {
        "name": label,
        "kind": "date",
        "bounds": (f"{days.min().year:04}-01-01", f"{days.max().year:04}-12-31"),
        "bins": _BINS,
        "missing": missing,
    }
    return NumberColumn.model_validate(content)


def _number(label: str, numbers: np.ndarray, whole: bool, missing: bool) -> NumberColumn:
    decimals = 0 if whole else min(4, _decimals(numbers))
    while decimals and np.abs(numbers).max() * 10 ** (decimals + 1) > MOST_STEPS:  # widening takes a digit
        decimals -= 1
    grid = 10**decimals
    low = math.floor(_outward(float(numbers.min()), -1) * grid) / grid
    high = math.ceil(_outward(float(numbers.max()), +1) * grid) / grid
    if low >= high:
        high = low + 1.0
    steps = np.linspace(low, high, _BINS + 1)[1:-1]
    found = sorted({float(round(step, decimals)) for step in steps})
    cuts = tuple(cut for cut in found if low < cut < high) or (high,)  # two values at least: one cut at least
    often_zero = low <= 0 < high and float((numbers == 0).mean()) > _SPIKE
    atoms = (0.0,) if often_zero and not whole and 1 / grid not in cuts else ()
    return NumberColumn(
        name=label,
        bounds=(low, high),
        decimals=decimals,
        cuts=cuts,
        atoms=atoms,
        missing=missing,
    )


def _outward(value: float, direction: int) -> float:
    """Rounded away from the middle to one significant digit."""
    if value == 0.0:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(abs(value)))
    rounded = (math.ceil if direction > 0 else math.floor)(value / unit) * unit
    return float(f"{rounded:.10g}")


def _decimals(numbers: np.ndarray) -> int:
    """Digits after the point that the first thousand values need."""
    texts = (f"{value:.9f}".rstrip("0") for value in numbers[:1000])
    return max((len(text.partition(".")[2]) for text in texts), default=0)
