"""Tables: records to codes and back.

A record is one code a column: ``int64[records, columns]``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..columns import CategoryColumn, NumberColumn
from ..errors import ColumnError, MissingValueError, ValueNotAllowedError
from ..schema import TableSchema

Codes = NDArray[np.int64]


def encode(frame: pd.DataFrame, schema: TableSchema) -> Codes:
    """Codes of a table, ``int64[records, columns]``. Extra columns are refused, order is free.

    Raises ColumnError, MissingValueError or ValueNotAllowedError naming row and column, never a value.
    """
    missing = [name for name in schema.names if name not in frame.columns]
    extra = [str(name) for name in frame.columns if name not in {*schema.names, schema.subject}]
    if missing or extra:
        raise ColumnError(
            f"the table does not have the columns of schema {schema.name!r}: "
            f"missing {missing or 'none'}, not in the schema {extra or 'none'}",
            hint="drop or rename columns, or agree on another schema",
        )
    codes = np.empty((len(frame), len(schema.columns)), np.int64)
    for position, column in enumerate(schema.columns):
        codes[:, position] = _encode_column(frame[column.name], column)
    return codes


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
        numbers = pd.to_numeric(series, errors="coerce")
        return pd.Index(column.categories).get_indexer(pd.Index(numbers)).astype(np.int64)
    texts = pd.Index(series.astype("str"), dtype=object)
    return pd.Index(column.categories, dtype=object).get_indexer(texts).astype(np.int64)


def _number_codes(series: pd.Series, column: NumberColumn, absent: NDArray[np.bool_]) -> Codes:
    values = pd.to_numeric(series, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    low, high = column.bounds
    codes = np.searchsorted(column.borders, values, side="right") + len(column.atoms)
    for code, atom in enumerate(column.atoms):
        codes[values == atom] = code
    inside = (values >= low) & (values <= high)  # false for what is not a number, too
    if column.decimals == 0:
        inside &= values == np.floor(values)
    return np.where(inside | absent, codes, -1)


def _row(flags: NDArray[np.bool_]) -> int:
    """The first flagged row, counted from 1 without the header."""
    return int(flags.argmax()) + 1


def _allowed(column: CategoryColumn | NumberColumn) -> str:
    if isinstance(column, CategoryColumn):
        return ", ".join(str(value) for value in column.categories)
    number = "integers" if column.decimals == 0 else "numbers"
    return f"{number} from {column.bounds[0]:g} to {column.bounds[1]:g} {column.unit}".rstrip()


def decode(codes: Codes, schema: TableSchema, random: np.random.Generator) -> pd.DataFrame:
    """A table from codes: same columns, order, dtypes and decimals as the schema declares.

    Values inside a bin are drawn uniformly (or log-uniformly, by the column's scale). The codes are
    synthetic, so a seeded generator may be used.
    """
    columns = {
        column.name: _decode_column(codes[:, position], column, random)
        for position, column in enumerate(schema.columns)
    }
    return pd.DataFrame(columns)


def _decode_column(
    codes: Codes, column: CategoryColumn | NumberColumn, random: np.random.Generator
) -> pd.Series:
    absent = codes == column.size - 1 if column.missing else np.zeros(len(codes), bool)
    if isinstance(column, CategoryColumn):
        table = pd.Series([*column.categories, *([None] if column.missing else [])], dtype=object)
        drawn = table.to_numpy()[codes]
        whole = isinstance(column.categories[0], int)
        return pd.Series(drawn, dtype=("Int64" if absent.any() else "int64") if whole else "str")
    values = _draw_numbers(codes, column, random)
    if column.decimals == 0:
        series = pd.Series(values.astype(np.int64))
        return series.astype("Int64").mask(absent) if absent.any() else series
    return pd.Series(np.where(absent, np.nan, values))


def _draw_numbers(codes: Codes, column: NumberColumn, random: np.random.Generator) -> NDArray[np.float64]:
    step = 10.0**-column.decimals
    low, high = column.bounds
    starts = np.array([low, *column.borders])
    ends = np.array([*column.borders, high + step])  # the last bin includes the upper bound
    bins = np.clip(codes - len(column.atoms), 0, len(starts) - 1)
    position = random.random(len(codes))
    start, width = starts[bins], ends[bins] - starts[bins]
    values = start + position * width
    if column.scale == "log":
        above = start > 0  # a bin that starts at zero has no logarithm; it stays uniform
        values[above] = start[above] * (1 + width[above] / start[above]) ** position[above]
    values = np.floor(np.round(values / step, 6)) * step
    values = np.round(np.clip(values, start, np.maximum(start + width - step, start)), column.decimals)
    values[np.isin(values, column.atoms)] += step  # an atom has a code of its own, a bin never draws it
    atoms = codes < len(column.atoms)
    values[atoms] = np.array([*column.atoms, 0.0])[codes[atoms]]
    return np.asarray(np.round(values, column.decimals))
