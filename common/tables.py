"""Tables in files: CSV (also .gz) and Parquet, read with the schema's types and no guessing."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from .errors import ColumnError, DataError, StorageError
from .schema import CategoryColumn, Schema

_MISSING = ["", "NA", "NaN", "nan"]


def read_table(path: Path, schema: Schema | None = None) -> pd.DataFrame:
    """A table. With a schema, text categories stay text whatever they look like.

    Raises DataError if the file is absent or no table, ColumnError if a column name stands twice.
    """
    texts = {c.name: "str" for c in schema.columns if _is_text(c)} if schema else {}
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        frame = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=_MISSING)
    except FileNotFoundError as error:
        raise DataError(f"there is no table at {path}") from error
    except (ValueError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a table", hint="CSV with a header line, or Parquet"
        ) from error
    if any(str(name).endswith(".1") and str(name)[:-2] in frame.columns for name in frame.columns):
        raise ColumnError(f"{path}: a column name stands twice")
    return frame


def _is_text(column: object) -> bool:
    return isinstance(column, CategoryColumn) and isinstance(column.categories[0], str)


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write CSV or Parquet, whole or not at all. Raises StorageError."""
    if path.suffix == ".parquet":
        write_whole(path, lambda temporary: frame.to_parquet(temporary, index=False))
    else:
        write_whole(path, lambda temporary: frame.to_csv(temporary, index=False))


def write_whole(path: Path, write: object) -> None:
    """Let ``write(temporary_path)`` produce a file, then put it in place of ``path`` atomically.

    Raises StorageError (disk full, no permission); no partial file is left behind.
    """
    assert callable(write)
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}",
            hint="free some space or choose another folder; what was finished before is kept",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
