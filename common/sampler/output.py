"""Samples as files, each whole or not at all and each marked as synthetic: CSV, Parquet, npz, PNG."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .arrays import ArrayKind, ArraySample
from .columns import Category, Column, Values
from .errors import PackageError, RequestError
from .files import write_whole
from .provenance import PNG_TEXTS, SOURCE_TYPE, XMP, XMP_KEY, marks, png_facts, sidecar_of, write_sidecar
from .sampling import Sample

_ROWS = 1 << 16  # written at once
_COLUMNS, _BORDER = 10, 2  # of a grid: pictures in a row, pixels between them


def write_table(sample: Sample, path: Path, facts: Mapping[str, Any]) -> None:
    """CSV with a sidecar, or Parquet, by the name's end. Raises RequestError, PackageError or FileError."""
    if path.suffix == ".parquet":
        _write_parquet(sample, path, facts)
    elif path.suffix == ".csv":
        _write_csv(sample, path, facts)
    else:
        raise RequestError(
            f"{path.name}: tables cannot be written so", hint="a name that ends in .csv or .parquet"
        )


def write_rows(sample: Sample, file: IO[str]) -> None:
    """CSV: header and rows, nothing where a value is missing."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([column.name for column in sample.table.columns])
    for start in range(0, len(sample), _ROWS):
        columns = sample.plain(slice(start, start + _ROWS)).values()
        writer.writerows(zip(*(column.tolist() for column in columns), strict=True))


def _write_csv(sample: Sample, path: Path, facts: Mapping[str, Any]) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            write_rows(sample, file)

    before = path.is_file()
    write_sidecar(path, facts)  # first: records without their mark must not exist
    try:
        write_whole(path, write)
    except BaseException:
        if not before:
            sidecar_of(path).unlink(missing_ok=True)
        raise


def _write_parquet(sample: Sample, path: Path, facts: Mapping[str, Any]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise PackageError("Parquet needs pyarrow", hint="pip install 'fedcgan-sample[parquet]'") from error
    layout = pa.schema([(column.name, arrow_type(pa, column)) for column in sample.table.columns])
    layout = layout.with_metadata({"synthetic": json.dumps(marks(facts))})

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, layout) as writer:
            for start in range(0, len(sample), _ROWS):
                rows = slice(start, start + _ROWS)
                parts = [
                    _arrow(pa, column, sample.values[column.name].take(rows))
                    for column in sample.table.columns
                ]
                writer.write_table(pa.Table.from_arrays(parts, schema=layout))

    write_whole(path, write)


def arrow_type(pa: Any, column: Column) -> Any:
    """Of a column in Parquet: whole numbers stay whole and dates dates, missing ones or not."""
    if isinstance(column, Category):
        return pa.int64() if isinstance(column.categories[0], int) else pa.string()
    if column.date:
        return pa.date32()
    return pa.float64() if column.decimals else pa.int64()


def _arrow(pa: Any, column: Column, values: Values) -> Any:
    if isinstance(column, Category):
        known = pa.array(column.categories, arrow_type(pa, column))
        return known.take(pa.array(values.steps, mask=values.absent))
    if column.date:
        days = np.where(values.absent, 0, values.steps).astype(np.int32)
        return pa.array(days, pa.int32(), mask=values.absent).cast(pa.date32())
    steps = values.steps / 10**column.decimals if column.decimals else values.steps
    return pa.array(steps, mask=values.absent)


def write_arrays(sample: ArraySample, kind: ArrayKind, path: Path, facts: Mapping[str, Any]) -> int:
    """An npz, or of images a PNG grid: a row for each class, at most ten of it. Returns how many are there.

    Raises RequestError, PackageError or FileError.
    """
    if path.suffix == ".npz":
        _write_npz(sample, kind, path, facts)
        return len(sample)
    if path.suffix == ".png" and kind.whole:
        some = first_of_each(sample.values, sample.labels)
        content = png(_grid(some.rows), facts)
        write_whole(path, lambda temporary: temporary.write_bytes(content))
        return some.count
    ends = ".npz or .png" if kind.whole else ".npz"
    raise RequestError(f"{path.name}: samples cannot be written so", hint=f"a name that ends in {ends}")


@dataclass(frozen=True, slots=True, eq=False)
class Some:
    """Records to look at. rows: [classes, columns, channels, ...], white (of signals nan) where a class has
    fewer; classes: int64[classes], those that have any; count: how many records there are
    """

    rows: NDArray[Any]
    classes: NDArray[np.int64]
    count: int


def first_of_each(values: NDArray[Any], labels: NDArray[np.int64]) -> Some:
    """The first ten of each class, or as many as it has."""
    classes = np.unique(labels)
    places = [np.nonzero(labels == label)[0][:_COLUMNS] for label in classes]
    counts = [len(found) for found in places]
    blank = 255 if values.dtype == np.uint8 else np.nan
    rows = np.full((len(classes), max(counts), *values.shape[1:]), blank, values.dtype)
    for row, found in zip(rows, places, strict=True):
        row[: len(found)] = values[found]
    return Some(rows, classes, sum(counts))


def _write_npz(sample: ArraySample, kind: ArrayKind, path: Path, facts: Mapping[str, Any]) -> None:
    """x: the records; y: their categories; synthetic: the mark, a text a line; of signals rate and units."""
    lines = {**png_facts(facts), **PNG_TEXTS, "DigitalSourceType": SOURCE_TYPE}
    arrays: dict[str, Any] = {
        "x": sample.values,
        "y": np.array(kind.label.categories)[sample.labels],
        "synthetic": np.array([f"{key}={value}" for key, value in lines.items()]),
    }
    if not kind.whole:
        arrays |= {"sampling_rate": np.array(kind.rate), "units": np.array(kind.units)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a name, numpy would add a suffix to it
            np.savez_compressed(file, **arrays)

    write_whole(path, write)


def _grid(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A row for each class, with white between: uint8[height, width, channels]."""
    around = ((0, 0), (0, 0), (0, 0), (0, _BORDER), (0, _BORDER))
    framed = np.pad(rows, around, constant_values=255).transpose(0, 3, 1, 4, 2)
    sheet = framed.reshape(framed.shape[0] * framed.shape[1], -1, framed.shape[4])
    return np.pad(sheet, ((_BORDER, 0), (_BORDER, 0), (0, 0)), constant_values=255)


def png(sheet: NDArray[np.uint8], facts: Mapping[str, Any]) -> bytes:
    """A picture, uint8[height, width, 1 or 3], as a PNG that is marked. Raises PackageError."""
    try:
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo
    except ImportError as error:
        raise PackageError("PNG needs pillow", hint="pip install 'fedcgan-sample[images]'") from error
    info = PngInfo()
    for key, value in {**png_facts(facts), **PNG_TEXTS}.items():
        info.add_text(key, value)
    info.add_itxt(XMP_KEY, XMP)
    picture = Image.fromarray(sheet[:, :, 0] if sheet.shape[2] == 1 else sheet)
    content = io.BytesIO()
    picture.save(content, format="PNG", pnginfo=info)
    return content.getvalue()
