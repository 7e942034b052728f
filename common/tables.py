"""Tables in files: CSV (also .gz) and Parquet, read with the schema's types and no guessing."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

import pandas as pd
import zstandard
from pandas.errors import ParserError, ParserWarning
from pyarrow import parquet
from pyarrow.lib import ArrowException

from .columns import CategoryColumn, NumberColumn
from .durable import write_whole
from .errors import ColumnError, DataError, StorageError
from .schema import TableSchema

_FORM = "UTF-8 text with a header line, commas and as many fields in every row; or Parquet"
_OPENED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": zstandard.open}


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
    return DataError(f"{path} cannot be read as a table", hint=_FORM)


def _read_csv(path: Path, schema: TableSchema | None) -> pd.DataFrame:
    try:
        _check_header(path)
        return _parsed(path, schema)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", hint=_FORM) from error
    except (ParserError, ParserWarning) as error:  # pandas only warns when it drops fields
        if "inside string" in str(error):
            *_, (line, _) = _rows(path)
            raise DataError(
                f"{path}, line {line}: a quote is opened in this row and never closed", hint=_FORM
            ) from error
        _check_fields(path)
        raise


def _check_header(path: Path) -> None:
    """Raise ColumnError for names that pandas would make up or change."""
    with _text(path) as file:
        header = pd.read_csv(file, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
    if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), "")):
        raise ColumnError(
            f"{path}: the header has no commas, its names are separated by {other!r}",
            hint="separate fields by commas, with a point in decimal numbers",
        )
    if (header == "").any():
        raise ColumnError(
            f"{path}: column {int((header == '').argmax()) + 1} has no name in the header",
            hint="name it, or leave it out: numbers of rows, say",
        )
    if header.duplicated().any():
        raise ColumnError(f"{path}: the column {header[header.duplicated()].iloc[0]!r} stands twice")


def _parsed(path: Path, schema: TableSchema | None) -> pd.DataFrame:
    texts = {c.name: "str" for c in schema.columns if _is_text(c)} if schema else {}
    if schema and schema.subject:
        texts[schema.subject] = "str"  # guessed types would make one person two, or two persons one
    with warnings.catch_warnings(), _text(path) as file:
        warnings.simplefilter("error", ParserWarning)
        frame = pd.read_csv(file, dtype=texts, keep_default_na=False, na_values=[""], index_col=False)
    if frame.iloc[:, -1].isna().any():  # as in a row that is too short, which pandas fills up
        _check_fields(path)
    return frame


def _check_fields(path: Path) -> None:
    """Raise ColumnError for the first row with more or fewer fields than the header."""
    rows = _rows(path)
    _, names = next(rows)
    for line, fields in rows:
        if fields != names:
            more = "more" if fields > names else "fewer"
            raise ColumnError(
                f"{path}, line {line}: the row has {more} fields than the header has names "
                f"({fields}, not {names})",
                hint="as many commas in every row; between two of them nothing means missing",
            )


def _rows(path: Path) -> Iterator[tuple[int, int]]:
    """The line where a row begins, counted from 1, and how many fields it has; blank lines are none."""
    with _text(path) as file:
        reader, line = csv.reader(file), 1
        for row in reader:
            blank = not row or (len(row) == 1 and row[0] != "" and not row[0].strip(" \t"))
            if not blank:
                yield line, len(row)
            line = reader.line_num + 1


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """A file as text, whatever compressed it; of a zip its only member."""
    with ExitStack() as stack:
        suffix = path.suffix.lower()
        if suffix == ".zip":
            archive = stack.enter_context(zipfile.ZipFile(path))
            (member,) = archive.namelist()
            raw: IO[bytes] = stack.enter_context(archive.open(member))
        else:
            raw = stack.enter_context(_OPENED.get(suffix, open)(path, "rb"))
        yield stack.enter_context(io.TextIOWrapper(raw, "utf-8-sig", newline=""))


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
