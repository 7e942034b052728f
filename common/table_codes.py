"""Codes of a table in a file; Parquet is read a column at a time, so that it is never whole in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .errors import ColumnError, DataError, MissingValueError
from .modalities.tabular import encode_columns
from .schema import TableSchema
from .tables import read_columns, read_table


def read_codes(path: Path, schema: TableSchema) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Codes as ``encode`` gives them, in the narrowest unsigned integers; and each row's subject as text, if
    the schema names one.

    Raises what ``read_table`` and ``encode`` raise, in the same words and for the same row.
    """
    column: Callable[[str], pd.Series]
    if path.suffix == ".parquet" and path.is_file():
        names, count = read_columns(path)
        column = partial(_column, path, count)
    else:
        frame = read_table(path, schema)
        names, count, column = list(frame.columns), len(frame), frame.__getitem__
    codes = encode_columns(names, column, count, schema, narrowest(schema))
    return codes, _subjects(names, column, schema.subject) if schema.subject else None


def narrowest(schema: TableSchema) -> np.dtype[Any]:
    """The smallest unsigned integers that hold the codes of every column: one byte up to 256 codes."""
    return np.min_scalar_type(max(schema.sizes) - 1)


def _column(path: Path, count: int, name: str) -> pd.Series:
    frame = read_table(path, columns=[name])
    if len(frame) != count or list(frame.columns) != [name]:
        raise DataError(f"{path} changed while it was read", hint="leave records alone while they are read")
    return frame[name]


def _subjects(names: list[Any], column: Callable[[str], pd.Series], subject: str) -> NDArray[Any]:
    if subject not in names:
        raise ColumnError(
            f"the table has no column {subject!r}, by which the schema tells whose record it is",
            hint="add it, or agree on a schema that protects single records",
        )
    whose = column(subject)
    if whose.isna().any():
        raise MissingValueError(
            f"row {int(whose.isna().to_numpy().argmax()) + 1}, column {subject!r}: a record of nobody",
            hint="every record needs its subject, or its rows cannot be protected together",
        )
    return np.asarray(whose.astype(str).to_numpy())
