"""Tables in files: CSV (also .gz) and Parquet, read with the schema's types and no guessing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.errors import ParserWarning
from pyarrow import parquet
from pyarrow.lib import ArrowException

from .columns import CategoryColumn, NumberColumn
from .durable import write_whole
from .errors import ColumnError, DataError, StorageError
from .schema import TableSchema


def read_table(
    path: Path, schema: TableSchema | None = None, *, columns: list[str] | None = None
) -> pd.DataFrame:
    """A table. In CSV an empty field is a missing value and nothing else is; with a schema, text stays text.

    columns: of Parquet, the only ones that are read
    Raises DataError if the file is absent or no table, ColumnError if header and rows do not fit.
    """
    if not path.is_file():
        raise DataError(f"there is no table at {path}")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path, columns=columns)
        return _read_csv(path, schema)
    except DataError:
        raise
    except Exception as error:  # pandas lets the errors of every codec and compression through
        raise _no_table(path) from error


def read_columns(path: Path) -> tuple[list[Any], int]:
    """Names of a Parquet file's columns and number of its rows; nothing else is read. Raises DataError."""
    try:
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.empty_table().to_pandas().columns)
            return names, int(file.metadata.num_rows)
    except Exception as error:
        raise _no_table(path) from error


def _no_table(path: Path) -> DataError:
    return DataError(f"{path} cannot be read as a table", hint="CSV with a header line, or Parquet")


def _read_csv(path: Path, schema: TableSchema | None) -> pd.DataFrame:
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
    if header.duplicated().any():
        raise ColumnError(f"{path}: the column {header[header.duplicated()].iloc[0]!r} stands twice")
    texts = {c.name: "str" for c in schema.columns if _is_text(c)} if schema else {}
    if schema and schema.subject:
        texts[schema.subject] = "str"  # guessed types would make one person two, or two persons one
    with warnings.catch_warnings():
        warnings.simplefilter("error", ParserWarning)  # pandas only warns when it drops fields
        try:
            return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""], index_col=False)
        except ParserWarning as warning:
            raise ColumnError(f"{path}: the rows have more fields than the header has names") from warning


def _is_text(column: object) -> bool:
    if isinstance(column, CategoryColumn):
        return isinstance(column.categories[0], str)
    return isinstance(column, NumberColumn) and column.kind == "date"


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write CSV or Parquet, whole or not at all. Raises StorageError."""
    if path.suffix != ".parquet":
        write_whole(path, lambda temporary: frame.to_csv(temporary, index=False))
        return
    try:
        write_whole(path, lambda temporary: frame.to_parquet(temporary, index=False))
    except ArrowException as error:
        raise StorageError(f"{path} cannot be written: {type(error).__name__}") from error
