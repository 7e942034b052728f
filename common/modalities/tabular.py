"""Tables: records to codes and back.

A record is one code a column: ``int64[records, columns]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..columns import ISO_DATE, CategoryColumn, NumberColumn, iso_date
from ..errors import ColumnError, ConstraintError, MissingValueError, ValueNotAllowedError
from ..sampler.columns import Category, Column, Values
from ..schema import TableSchema
from .described import constraints_of, described

Codes = NDArray[np.int64]


def encode(frame: pd.DataFrame, schema: TableSchema) -> Codes:
    """Codes of a table, ``int64[records, columns]``. Extra columns are refused, order is free.

    Raises ColumnError, MissingValueError, ValueNotAllowedError or ConstraintError naming row and column (or
    constraint), never a value.
    """
    return encode_columns(list(frame.columns), frame.__getitem__, len(frame), schema, np.dtype(np.int64))


def encode_columns(
    names: list[Any],
    column_of: Callable[[str], pd.Series],
    count: int,
    schema: TableSchema,
    kind: np.dtype[Any],
) -> Codes:
    """The same of ``count`` records whose columns are read one by one, in integers of ``kind``.

    column_of: a column by name, asked for once or twice
    """
    missing = [name for name in schema.names if name not in names]
    extra = [str(name) for name in names if name not in {*schema.names, schema.subject}]
    if missing or extra:
        raise ColumnError(
            f"the table does not have the columns of schema {schema.name!r}: "
            f"missing {missing or 'none'}, not in the schema {extra or 'none'}",
            hint="drop or rename columns, or agree on another schema",
        )
    codes = np.empty((count, len(schema.columns)), kind)
    for position, column in enumerate(schema.columns):
        codes[:, position] = _encode_column(column_of(column.name), column)
    _check_constraints(column_of, codes, schema)
    return codes


def _check_constraints(column_of: Callable[[str], pd.Series], codes: Codes, schema: TableSchema) -> None:
    constraints = constraints_of(schema)
    used = {name for constraint in constraints for name in constraint.columns}
    values = {
        column.name: _values(column_of(column.name), codes[:, position].astype(np.int64), column)
        for position, column in enumerate(schema.columns)
        if column.name in used
    }
    for number, constraint in enumerate(constraints, 1):
        wrong = ~constraint.holds(values)
        if wrong.any():
            raise ConstraintError(
                f"row {_row(wrong)}: constraint {number} of the schema ({constraint}) does not hold "
                f"({int(wrong.sum())} such rows)",
                hint="repair the record, or agree on a schema without this constraint",
            )


def _values(series: pd.Series, codes: Codes, column: CategoryColumn | NumberColumn) -> Values:
    """What constraints compare: of numbers, steps of their decimals."""
    absent = series.isna().to_numpy()
    if isinstance(column, CategoryColumn):
        return Values(codes, absent)
    numbers = np.where(absent, 0.0, _numbers(series, column))
    return Values(np.rint(numbers * 10**column.decimals).astype(np.int64), absent)


def _encode_column(series: pd.Series, column: CategoryColumn | NumberColumn) -> Codes:
    absent = series.isna().to_numpy()
    if absent.any() and not column.missing:
        raise MissingValueError(
            f"row {_row(absent)}, column {column.name!r}: a value is missing",
            hint="fill it, or declare missing = true for this column in the schema",
        )
    if isinstance(column, CategoryColumn):
        codes = _category_codes(series, column)
    else:
        codes = _number_codes(series, column, absent)
    wrong = (codes < 0) & ~absent
    if wrong.any():
        raise ValueNotAllowedError(
            f"row {_row(wrong)}, column {column.name!r}: the value is not allowed "
            f"({int(wrong.sum())} such rows)",
            hint="allowed: " + _allowed(column),
        )
    return np.where(absent, column.size - 1, codes)


def _category_codes(series: pd.Series, column: CategoryColumn) -> Codes:
    if isinstance(column.categories[0], int):
        return pd.Index(column.categories).get_indexer(pd.Index(_floats(series))).astype(np.int64)
    texts = pd.Index(series.astype("str"), dtype=object)
    return pd.Index(column.categories, dtype=object).get_indexer(texts).astype(np.int64)


def _number_codes(series: pd.Series, column: NumberColumn, absent: NDArray[np.bool_]) -> Codes:
    values = _numbers(series, column)
    low, high = column.bounds
    codes = np.searchsorted(column.borders, values, side="right") + len(column.atoms)
    for code, atom in enumerate(column.atoms):
        codes[values == atom] = code
    inside = (values >= low) & (values <= high)  # false for what is not a number, too
    if column.decimals == 0:
        inside &= values == np.floor(values)
    return np.where(inside | absent, codes, -1)


def _numbers(series: pd.Series, column: NumberColumn) -> NDArray[np.float64]:
    """Numbers, or days of dates; NaN for what is neither: float64[records]."""
    if column.kind == "number":
        return _floats(series)
    if not pd.api.types.is_datetime64_dtype(series):
        text = series.astype("str")
        series = pd.to_datetime(text.where(text.str.fullmatch(ISO_DATE)), format="%Y-%m-%d", errors="coerce")
    days = series.to_numpy("datetime64[us]")
    found = days.astype("datetime64[D]").astype(np.float64)  # floored, so that a time of day is seen
    return np.where(np.isnat(days) | (days != days.astype("datetime64[D]")), np.nan, found)


def _floats(series: pd.Series) -> NDArray[np.float64]:
    """Numbers; NaN for what is none, True and False among it, which pandas would make 1 and 0."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if pd.api.types.is_bool_dtype(series.dtype) or series.dtype.kind in "mM":
        return np.full(len(series), np.nan)
    if series.dtype == object:
        series = series.mask(series.map(type).isin([bool, np.bool_]))
    try:
        numbers = pd.to_numeric(series, errors="coerce")
    except OverflowError:  # integers of hundreds of digits; as text they are infinite
        numbers = pd.to_numeric(series.astype("str"), errors="coerce")
    return numbers.to_numpy(np.float64, na_value=np.nan)


def _row(flags: NDArray[np.bool_]) -> int:
    """The first flagged row, counted from 1 without the header."""
    return int(flags.argmax()) + 1


def _allowed(column: CategoryColumn | NumberColumn) -> str:
    if isinstance(column, CategoryColumn):
        return ", ".join(str(value) for value in column.categories)
    if column.kind == "date":
        return f"ISO dates from {iso_date(column.bounds[0])} to {iso_date(column.bounds[1])}"
    number = "integers" if column.decimals == 0 else "numbers"
    return f"{number} from {column.bounds[0]:g} to {column.bounds[1]:g} {column.unit}".rstrip()


def decode(codes: Codes, schema: TableSchema, random: np.random.Generator) -> pd.DataFrame:
    """A table from codes: same columns, order, dtypes and decimals as the schema declares.

    Values inside a bin are drawn evenly on the column's scale, those of a wide outer bin nearer to the
    next one (``Number.draw``); dates become ISO text.
    Constraints are not looked at. The codes are synthetic, so a seeded generator may be used.
    """
    columns = [described(column) for column in schema.columns]
    return to_frame(
        {column.name: column.draw(codes[:, j], random) for j, column in enumerate(columns)}, columns
    )


def to_frame(values: Mapping[str, Values], columns: Sequence[Column]) -> pd.DataFrame:
    """Drawn values as a table: text, int64 (Int64 where one is missing) and float64."""
    return pd.DataFrame({column.name: _series(values[column.name], column) for column in columns})


def _series(values: Values, column: Column) -> pd.Series:
    plain, absent = column.plain(values), values.absent.any()
    if isinstance(column, Category):
        text = isinstance(column.categories[0], str)
    else:
        text = column.date
        if column.decimals:
            return pd.Series(plain.astype(np.float64))
    return pd.Series(plain, dtype="str" if text else "Int64" if absent else "int64")
