"""Generated signals to files and pictures, each marked as made by a model; limits on what files unpack to.

The mark is IPTC's digital source type for what a trained model made, with the facts of the run beside it.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from ..arrays import SOURCE_TYPE as SOURCE
from ..durable import write_whole
from ..errors import FedcganError, ShapeError, UnreadableFileError
from ..schema import SignalSchema

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIMIT = 8 << 30
"""Bytes of the arrays of one file, unpacked."""


_ROWS = 1 << 22  # values of a group of rows in Parquet


def mark(facts: dict[str, str]) -> dict[str, str]:
    """What a generated file says of itself: the facts, and that it is synthetic, which they cannot undo."""
    return {**facts, "synthetic": "true", "digital-source-type": SOURCE, "software": "fedcgan"}


def is_marked(path: Path) -> bool:
    """Whether an npz, Parquet or PNG file says that it is synthetic; False, too, if it cannot be read."""
    try:
        if path.suffix == ".npz":
            return any(SOURCE in str(line) for line in npz_arrays(path, ["synthetic"])["synthetic"].ravel())
        if path.suffix == ".parquet":
            return SOURCE.encode() in (pq.read_schema(path).metadata or {}).get(b"synthetic", b"")
        with Image.open(path) as image:
            return str(image.info.get("Synthetic")) == "true"
    except Exception:  # any damage: there is no mark to be read
        return False


def write_npz(
    signals: NDArray[Any], labels: NDArray[np.int64], schema: SignalSchema, path: Path, facts: dict[str, str]
) -> None:
    """Write ``x`` float32[records, channels, length], ``y`` (categories), ``sampling_rate`` in Hz, ``units``.

    ``synthetic`` holds the mark, a text a line. Whole or not at all. Raises ShapeError or StorageError.
    """
    _check(signals, labels, schema)
    arrays: dict[str, Any] = {
        "x": np.asarray(signals, np.float32),
        "y": np.array(schema.label.categories)[labels],
        "sampling_rate": np.float64(schema.sampling_rate),
        "units": np.array([channel.unit for channel in schema.channels]),
        "channels": np.array([channel.name for channel in schema.channels]),
        "synthetic": np.array([f"{name}: {value}" for name, value in mark(facts).items()]),
    }

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:  # given a name, numpy would add an ending to it
            np.savez_compressed(file, **arrays)

    write_whole(path, write)


def write_parquet(
    signals: NDArray[Any], labels: NDArray[np.int64], schema: SignalSchema, path: Path, facts: dict[str, str]
) -> None:
    """Write a list column of ``length`` float32 for each channel, with its unit, and the label column.

    The mark is JSON in the file's metadata, under ``synthetic``. Whole or not at all. Raises ShapeError or
    StorageError.
    """
    _check(signals, labels, schema)
    categories = np.array(schema.label.categories)
    text = categories.dtype.kind == "U"
    fields = [pa.field(schema.label.name, pa.string() if text else pa.int64())]
    for channel in schema.channels:
        fields.append(pa.field(channel.name, pa.list_(pa.float32()), metadata={"unit": channel.unit}))
    layout = pa.schema(fields, metadata={"synthetic": json.dumps(mark(facts))})
    step = max(1, _ROWS // math.prod(schema.shape))

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, layout) as writer:
            for start in range(0, len(signals), step):
                part = np.asarray(signals[start : start + step], np.float32)
                columns = [pa.array(categories[labels[start : start + step]])]
                ends = np.arange(0, (len(part) + 1) * schema.length, schema.length, dtype=np.int32)
                for place in range(len(schema.channels)):
                    columns.append(pa.ListArray.from_arrays(ends, part[:, place].ravel()))
                writer.write_table(pa.Table.from_arrays(columns, schema=layout))

    write_whole(path, write)


def _check(signals: NDArray[Any], labels: NDArray[np.int64], schema: SignalSchema) -> None:
    if signals.shape[1:] != schema.shape or labels.shape != signals.shape[:1]:
        raise ShapeError(
            f"signals {list(signals.shape)} with labels {list(labels.shape)} do not fit the schema"
        )


def figure(
    signals: NDArray[Any],
    schema: SignalSchema,
    path: Path,
    facts: dict[str, str],
    shown: NDArray[np.int64] | None = None,
) -> None:
    """A marked PNG with a line plot for each signal.

    signals: [rows, columns, channels, length], a row for each category in the schema's order, or for those
    shown; nan where there is none. One channel is drawn in its unit; several are drawn above one another,
    each over the range of its bounds. Raises ShapeError or StorageError.
    """
    codes = np.arange(schema.classes) if shown is None else shown
    if signals.ndim != 4 or signals.shape[2:] != schema.shape or signals.shape[0] != len(codes):
        raise ShapeError(f"signals {list(signals.shape)} are not a row for each category of the schema")
    rows, columns = signals.shape[:2]
    sheet = new_figure(2.4 * columns + 1, (1 + 0.35 * schema.shape[0]) * rows + 0.5)
    cells = sheet.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for row, category in enumerate(schema.label.categories[code] for code in codes):
        for column in range(columns):
            _draw(cells[row, column], signals[row, column], schema)
        cells[row, 0].set_ylabel(f"{schema.label.name} {category}", parse_math=False)
    for cell in cells[-1]:
        cell.set_xlabel("seconds")
    save(sheet, path, {**mark(facts), "Synthetic": "true"})


def _draw(cell: Axes, signal: NDArray[Any], schema: SignalSchema) -> None:
    seconds = np.arange(schema.length) / schema.sampling_rate
    if len(schema.channels) == 1:
        cell.plot(seconds, signal[0], linewidth=0.7)
        cell.set_title(schema.channels[0].unit, loc="left", fontsize="small", parse_math=False)
        return
    for place, channel in enumerate(schema.channels):
        low, high = channel.bounds
        cell.plot(seconds, (signal[place] - low) / (high - low) - place, linewidth=0.7)
    middles = [0.5 - place for place in range(len(schema.channels))]
    cell.set_yticks(middles, [channel.name for channel in schema.channels], parse_math=False)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches. matplotlib is loaded here, when a picture is really drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(sheet)
    return sheet


def save(sheet: Figure, path: Path, facts: dict[str, str]) -> None:
    """Write a figure as PNG with these texts in it, whole or not at all. Raises StorageError."""
    texts = {**facts, "Software": "fedcgan"}
    write_whole(path, lambda temporary: sheet.savefig(temporary, format="png", dpi=120, metadata=texts))


def npz_arrays(path: Path, wanted: Collection[str]) -> dict[str, NDArray[Any]]:
    """Those of the wanted arrays that an npz has. Headers come first: no objects, at most ``LIMIT`` bytes.

    Raises UnreadableFileError.
    """
    try:
        with zipfile.ZipFile(path) as file:
            names = [f"{name}.npy" for name in wanted if f"{name}.npy" in file.namelist()]
            if sum(_declared_bytes(file, name, path) for name in names) > LIMIT:
                raise UnreadableFileError(f"{path}: the arrays unpack to more than {LIMIT >> 30} GiB")
            arrays = {}
            for name in names:
                with file.open(name) as member:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
            return arrays
    except FedcganError:
        raise
    except Exception as error:  # zip, zlib and numpy have no common error
        raise UnreadableFileError(f"{path} cannot be read", hint="a file that numpy.savez wrote") from error


def _declared_bytes(file: zipfile.ZipFile, name: str, path: Path) -> int:
    """Bytes of one array, as its header says, after checking that the zip says the same."""
    array = name.removesuffix(".npy")
    with file.open(name) as member:
        shape, dtype = _header(member)
        start = member.tell()
    if dtype.hasobject:
        raise UnreadableFileError(
            f"{path}: {array!r} holds Python objects, which are never loaded", hint="save numbers or text"
        )
    size = math.prod(shape) * dtype.itemsize
    if size != file.getinfo(name).file_size - start:
        raise UnreadableFileError(f"{path}: {array!r} is not as long as its header says")
    return size


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = readers[np.lib.format.read_magic(member)](member)  # version 3 is for structures only
    return shape, dtype


def parquet_bytes(file: Any, columns: Collection[str]) -> int:
    """Bytes of all values of some columns, 8 each, as the file counts: a small file can unpack to many."""
    total = 0
    for group in (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)):
        for leaf in (group.column(number) for number in range(group.num_columns)):
            if any(f"{leaf.path_in_schema}.".startswith(f"{column}.") for column in columns):
                total += 8 * leaf.num_values
    return total
