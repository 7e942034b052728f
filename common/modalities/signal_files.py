"""Signals in files: npz, Parquet, or EDF and WFDB recordings with an index, checked against the schema.

Nothing is guessed, resampled, scaled or filled in: what does not fit is an error that names file and record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..arrays import Arrays
from ..errors import (
    ColumnError,
    DataError,
    FedcganError,
    MissingValueError,
    SamplingRateError,
    ShapeError,
    UnreadableFileError,
    ValueNotAllowedError,
)
from ..schema import SignalSchema
from .recordings import Index, check_rate, check_unit, folder_index, inside, read_recordings
from .signal_output import LIMIT, npz_arrays, parquet_bytes

_BATCH = 1 << 22  # values of a Parquet file unpacked at a time

_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)

Where = Callable[[int], str]


def read_signals(path: Path, schema: SignalSchema, *, allow_identified: bool = False) -> Arrays:
    """Signals ``float32[records, channels, length]`` in the schema's units, with labels and subjects.

    path: one of
        .npz with ``x`` [records, channels, length] ([records, length] if there is one channel), ``y`` and, if
        the schema names a subject, ``subject``; optionally ``sampling_rate`` in Hz, ``units``, ``channels``
        .parquet with one list column for each channel, the label and subject columns, optionally
        ``sampling_rate``
        .csv with ``path`` (of EDF or WFDB recordings in its folder), label and subject columns, optionally
        ``start`` (a record's first sample, from 0); without it every recording is one record
        a folder with one such CSV, or with a folder of recordings for each category
    allow_identified: whether EDF headers may name the patient; they are never used

    A file that is marked as synthetic needs no subject: it holds nobody's record. The order is the file's; of
    folders, that of the categories and then of names. Raises UnreadableFileError, ColumnError, ShapeError,
    SamplingRateError (also of units), MissingValueError (also of infinite samples), ValueNotAllowedError,
    IdentifiedError, DataError, or MissingPackageError.
    """
    if not path.exists():
        raise DataError(f"there are no signals at {path}")
    if path.suffix == ".npz":
        return _from_npz(path, schema)
    if path.suffix == ".parquet":
        return _from_parquet(path, schema)
    index = _index(path, schema)
    _check_size(path, len(index), schema)
    labels = _codes(index.labels, schema, index.where)
    subjects = None if index.subjects is None else _subjects(index.subjects, index.where)
    values = read_recordings(index, schema, allow_identified=allow_identified)
    _check_values(values, schema, index.where)
    return Arrays(values, labels, subjects)


def _from_npz(path: Path, schema: SignalSchema) -> Arrays:
    arrays = npz_arrays(path, ("x", "y", "subject", "sampling_rate", "units", "channels"))
    subject = schema.subject is not None
    absent = [name for name in ("x", "y", *(("subject",) if subject else ())) if name not in arrays]
    if absent:
        raise ColumnError(f"{path}: the file has no array {absent[0]!r}", hint="rename an array, or add it")
    _check_facts(arrays, path, schema)
    where = _numbered(path)
    values = _values(arrays["x"], path, schema)
    columns = [arrays["y"], *([arrays["subject"]] if subject else [])]
    if any(column.shape != (len(values),) for column in columns):
        raise ShapeError(f"{path}: 'y' and 'subject' do not have one value for each record")
    codes = _codes(arrays["y"], schema, where)
    _check_values(values, schema, where)
    return Arrays(values, codes, _subjects(arrays["subject"], where) if subject else None)


def _check_facts(arrays: dict[str, NDArray[Any]], path: Path, schema: SignalSchema) -> None:
    """What the file says of its sampling rate, units and channels, if it does."""
    rate = arrays.get("sampling_rate", np.float64(schema.sampling_rate))
    known = rate.size == 1 and rate.dtype.kind in "iuf"
    check_rate(float(rate.item()) if known else math.nan, schema, str(path))
    units = [str(unit) for unit in arrays["units"].ravel()] if "units" in arrays else []
    if units and len(units) != len(schema.channels):
        raise SamplingRateError(f"{path}: 'units' does not have one text for each channel")
    for unit, channel in zip(units, schema.channels, strict=False):
        check_unit(unit, channel.unit, f"{path}, channel {channel.name!r}")
    names = [channel.name for channel in schema.channels]
    if "channels" in arrays and [str(name) for name in arrays["channels"].ravel()] != names:
        raise ShapeError(
            f"{path}: 'channels' are not the schema's", hint=f"in this order: {', '.join(names)}"
        )


def _values(x: NDArray[Any], path: Path, schema: SignalSchema) -> NDArray[np.float32]:
    channels, length = schema.shape
    if x.ndim == 2 and channels == 1:
        x = x[:, None]
    if x.shape[1:] != schema.shape or x.dtype.kind not in "iuf":
        raise ShapeError(
            f"{path}: 'x' is {x.dtype}{list(x.shape)}, not numbers [records, {channels}, {length}]",
            hint="cut or resample the records to the schema's length, and order the axes so",
        )
    _check_size(path, len(x), schema)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        return np.ascontiguousarray(x, np.float32)


def _from_parquet(path: Path, schema: SignalSchema) -> Arrays:
    where = _numbered(path)
    try:
        with pq.ParquetFile(path) as file:
            columns = _columns(file, path, schema)
            _check_size(path, file.metadata.num_rows, schema)
            if parquet_bytes(file, columns) > LIMIT:
                raise UnreadableFileError(f"{path}: the columns unpack to more than {LIMIT >> 30} GiB")
            values, rest = _unpack(file, columns, schema, where)
        if "sampling_rate" in rest:
            rates = pd.to_numeric(rest["sampling_rate"], errors="coerce").to_numpy(
                np.float64, na_value=np.nan
            )
            odd = int(np.abs(rates - schema.sampling_rate).argmax())  # a NaN counts as the largest
            check_rate(float(rates[odd]), schema, where(odd))
        codes = _codes(rest[schema.label.name].to_numpy(object), schema, where)
        subject = rest.get(schema.subject or "")
        subjects = None if subject is None else _subjects(subject.to_numpy(object), where)
    except FedcganError:
        raise
    except Exception as error:  # pyarrow lets the errors of every codec through
        raise UnreadableFileError(f"{path} cannot be read as Parquet") from error
    _check_values(values, schema, where)
    return Arrays(values, codes, subjects)


def _columns(file: Any, path: Path, schema: SignalSchema) -> list[str]:
    """The columns to read: label, subject, channels, and the sampling rate if there is one."""
    fields = file.schema_arrow
    wanted = [schema.label.name, *([schema.subject] if schema.subject else [])]
    wanted += [channel.name for channel in schema.channels]
    if absent := [name for name in wanted if fields.names.count(name) != 1]:
        raise ColumnError(
            f"{path}: there is not exactly one column {absent[0]!r}", hint="rename a column, or add it"
        )
    for channel in schema.channels:
        field = fields.field(channel.name)
        inner = field.type.value_type if any(is_list(field.type) for is_list in _LISTS) else field.type
        if inner is field.type or not (pa.types.is_integer(inner) or pa.types.is_floating(inner)):
            raise ShapeError(
                f"{path}: column {channel.name!r} does not hold lists of numbers",
                hint=f"one list of {schema.length} numbers a record",
            )
        if unit := (field.metadata or {}).get(b"unit"):
            check_unit(unit.decode(), channel.unit, f"{path}, channel {channel.name!r}")
    rate = fields.names.count("sampling_rate") == 1 and "sampling_rate" not in wanted
    return [*wanted, *(["sampling_rate"] if rate else [])]


def _unpack(
    file: Any, columns: list[str], schema: SignalSchema, where: Where
) -> tuple[NDArray[np.float32], dict[str, pd.Series]]:
    values = np.empty((file.metadata.num_rows, *schema.shape), np.float32)
    rest: dict[str, list[Any]] = {name: [] for name in columns}
    names = [channel.name for channel in schema.channels]
    done = 0
    for batch in file.iter_batches(max(1, _BATCH // values[0].size), columns=columns):
        for place, name in enumerate(names):
            lists = batch.column(name)
            lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)  # NaN where null
            if (odd := lengths != schema.length).any():
                raise ShapeError(
                    f"{where(done + _first(odd))}: channel {name!r} does not have {schema.length} samples"
                )
            flat = lists.flatten().to_numpy(zero_copy_only=False)
            with np.errstate(over="ignore"):
                values[done : done + len(batch), place] = flat.reshape(len(batch), schema.length)
        for name in rest.keys() - set(names):
            rest[name].append(batch.column(name))
        done += len(batch)
    if done < len(values):
        raise UnreadableFileError(f"{where(done)}: the file ends before")
    return values, {name: pa.chunked_array(parts).to_pandas() for name, parts in rest.items() if parts}


def _index(path: Path, schema: SignalSchema) -> Index:
    if path.suffix == ".csv":
        return _csv_index(path, schema)
    if not path.is_dir():
        raise DataError(
            f"{path} is not a file of signals",
            hint="an .npz or .parquet file, a folder of recordings, or a .csv that lists them with labels",
        )
    tables = sorted(path.glob("*.csv"))
    if len(tables) > 1:
        raise DataError(f"{path} holds several CSV files", hint="name the one that lists the recordings")
    return _csv_index(tables[0], schema) if tables else folder_index(path, schema)


def _csv_index(path: Path, schema: SignalSchema) -> Index:
    """The records that a CSV lists. Paths must stay in its folder."""
    try:
        table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except Exception as error:  # pandas lets the errors of decoding through
        raise UnreadableFileError(f"{path} cannot be read as a table", hint="CSV with a header") from error
    table = table.fillna("").astype(object)  # a row that ends early
    header = list(table.iloc[0])
    wanted = ["path", schema.label.name, *([schema.subject] if schema.subject else [])]
    if absent := [name for name in wanted if header.count(name) != 1]:
        raise ColumnError(f"{path}: there is not exactly one column {absent[0]!r}")
    columns = {name: table[place].to_numpy()[1:] for place, name in enumerate(header)}
    starts = None
    if "start" in columns:
        odd = np.array([not re.fullmatch(r"[0-9]{1,15}", text) for text in columns["start"]], bool)
        if odd.any():
            raise ValueNotAllowedError(
                f"{path}, record {_first(odd) + 1}: 'start' is not an integer of at least 0",
                hint="the number of a record's first sample, from 0",
            )
        starts = columns["start"].astype(np.int64)
    files = [inside(path, name, number) for number, name in enumerate(columns["path"], 1)]
    subjects = columns[schema.subject] if schema.subject else None
    return Index(path, files, columns[schema.label.name], subjects, starts)


def _numbered(path: Path) -> Where:
    return lambda record: f"{path}, record {record + 1}"


def _first(flags: NDArray[np.bool_]) -> int:
    return int(flags.argmax())


def _check_size(path: Path, records: int, schema: SignalSchema) -> None:
    if not records:
        raise DataError(f"{path} holds no records")
    if records * math.prod(schema.shape) * 4 > LIMIT:
        raise DataError(f"{path}: {records} records are more than {LIMIT >> 30} GiB", hint="split the file")


def _texts(values: NDArray[Any]) -> NDArray[np.object_]:
    """Each value as text; empty, which no category is, where it is missing."""
    return np.array(["" if pd.isna(value) else str(value) for value in values], object)


def _codes(labels: NDArray[Any], schema: SignalSchema, where: Where) -> NDArray[np.int64]:
    allowed = [str(value) for value in schema.label.categories]
    codes = pd.Index(allowed, dtype=object).get_indexer(pd.Index(_texts(labels), dtype=object))
    if (wrong := codes < 0).any():
        raise ValueNotAllowedError(
            f"{where(_first(wrong))}: the label is not allowed ({int(wrong.sum())} such records)",
            hint=f"allowed values of {schema.label.name}: " + ", ".join(allowed),
        )
    return codes.astype(np.int64)


def _subjects(values: NDArray[Any], where: Where) -> NDArray[np.str_]:
    texts = _texts(values)
    if (absent := texts == "").any():
        raise MissingValueError(
            f"{where(_first(absent))}: the subject is missing",
            hint="say whose record it is, or leave the record out",
        )
    return texts.astype(np.str_)


def _check_values(values: NDArray[np.float32], schema: SignalSchema, where: Where) -> None:
    low, high = values.min(axis=2), values.max(axis=2)  # both pass a NaN on
    finite = np.isfinite(low) & np.isfinite(high)
    bounds = np.array([channel.bounds for channel in schema.channels], np.float32)  # rounded as values are
    for place, channel in enumerate(schema.channels):
        if (absent := ~finite[:, place]).any():
            raise MissingValueError(
                f"{where(_first(absent))}, channel {channel.name!r}: a sample is missing or infinite "
                f"({int(absent.sum())} such records)",
                hint="fill gaps before, or leave these records out",
            )
        outside = (low[:, place] < bounds[place, 0]) | (high[:, place] > bounds[place, 1])
        if outside.any():
            raise ValueNotAllowedError(
                f"{where(_first(outside))}, channel {channel.name!r}: a sample is outside the bounds "
                f"({int(outside.sum())} such records)",
                hint=f"allowed: {channel.bounds[0]:g} to {channel.bounds[1]:g} {channel.unit}; widen the "
                "bounds in the schema, or clip the samples before",
            )
