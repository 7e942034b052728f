"""Recordings in EDF and WFDB files: the samples that an index names.

Formats: EDF and EDF+ (Kemp et al. 1992; Kemp and Olivan 2003), read by edfio; WFDB (PhysioNet's headers and
signal files), read by wfdb. Both packages are optional.
"""

from __future__ import annotations

import importlib
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import (
    ColumnError,
    DataError,
    FedcganError,
    IdentifiedError,
    MissingPackageError,
    SamplingRateError,
    ShapeError,
    UnreadableFileError,
    ValueNotAllowedError,
)
from ..schema import SignalSchema

_ENDINGS = (".edf", ".hea")
_RATE_TOLERANCE = 1e-5  # EDF keeps 8 characters of a duration; less than a sample over the longest signal


@dataclass(frozen=True, slots=True)
class Index:
    """Which samples of which recordings are records.

    source: the CSV or folder it was read from; files, labels: one a record; subjects: None if the schema
    names none; starts: first samples int64[records], None if every recording is one record
    """

    source: Path
    files: list[Path]
    labels: NDArray[Any]
    subjects: NDArray[Any] | None = None
    starts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.files)

    def where(self, record: int) -> str:
        """A record's file, and its number in the index, for messages."""
        return f"{self.files[record]} (record {record + 1} of {self.source})"


def inside(index: Path, name: str, record: int) -> Path:
    """The recording that a CSV lists: its .edf, or the header of its WFDB files. Raises DataError."""
    folder = index.parent.resolve()
    wanted = f"{index}, record {record}"
    try:
        places = [folder / name, folder / f"{name}.hea"]  # WFDB names records without the ending
        if not name or any(not place.resolve().is_relative_to(folder) for place in places):
            raise DataError(
                f"{wanted}: 'path' is absolute or leads out of the CSV's folder",
                hint="paths are relative to the CSV and stay in its folder",
            )
        found = [place for place in places if place.suffix.lower() in _ENDINGS and place.is_file()]
    except (OSError, ValueError) as error:  # too long, or a null character
        raise DataError(f"{wanted}: 'path' is no path") from error
    if not found:
        raise DataError(f"{wanted}: there is no such recording", hint="an .edf file, or a WFDB header (.hea)")
    return found[0]


def folder_index(folder: Path, schema: SignalSchema) -> Index:
    """The recordings in folder/<category>/, by category in the schema's order, then by name.

    Files of other endings are passed over. Raises ColumnError if the schema names a subject,
    ValueNotAllowedError if a folder with recordings is no category.
    """
    if schema.subject:
        raise ColumnError(
            f"{folder}: folders of categories do not say whose record it is, the schema does",
            hint=f"list the recordings in a CSV with the columns path, {schema.label.name}, {schema.subject}",
        )
    names = [str(value) for value in schema.label.categories]
    files = [
        file for file in sorted(folder.glob("*/*")) if file.suffix.lower() in _ENDINGS and file.is_file()
    ]
    for file in files:
        if file.parent.name not in names:
            raise ValueNotAllowedError(
                f"{file}: its folder is no category of {schema.label.name}",
                hint="allowed: " + ", ".join(names),
            )
    files.sort(key=lambda file: names.index(file.parent.name))
    return Index(folder, files, np.array([file.parent.name for file in files], object))


@dataclass(frozen=True, slots=True)
class _Recording:
    """An open recording. cut: samples [channels, length] of the channels at these places, from a start on."""

    names: Sequence[str]
    units: Sequence[str]
    rates: Sequence[float]
    samples: Sequence[int]
    cut: Callable[[list[int], int, int], NDArray[Any]]


def read_recordings(index: Index, schema: SignalSchema, *, allow_identified: bool) -> NDArray[np.float32]:
    """The samples of every record of an index, ``float32[records, channels, length]`` in the schema's units.

    Each recording is opened once. Raises DataError or one of its kinds naming the recording, or
    MissingPackageError.
    """
    values = np.empty((len(index), *schema.shape), np.float32)
    rows: dict[Path, list[int]] = {}
    for row, file in enumerate(index.files):
        rows.setdefault(file, []).append(row)
    for file, wanted in rows.items():
        with _readable(file):
            recording = _open(file, allow_identified)
            places = _places(recording, file, schema)
            for row in wanted:
                start = _start(recording, places, index, row, schema.length)
                values[row] = recording.cut(places, start, schema.length)
    return values


def _open(file: Path, allow_identified: bool) -> _Recording:
    return _open_edf(file, allow_identified) if file.suffix.lower() == ".edf" else _open_wfdb(file)


def _places(recording: _Recording, file: Path, schema: SignalSchema) -> list[int]:
    """Where the schema's channels are in the recording, after checking their rates and units."""
    names = list(recording.names)
    absent = [channel.name for channel in schema.channels if names.count(channel.name) != 1]
    if absent:
        raise ShapeError(
            f"{file}: channel {absent[0]!r} is not in the recording, or more than once",
            hint="channels are matched by name; rename them in the file or in the schema",
        )
    places = [names.index(channel.name) for channel in schema.channels]
    for place, channel in zip(places, schema.channels, strict=True):
        check_rate(recording.rates[place], schema, f"{file}, channel {channel.name!r}")
        check_unit(recording.units[place], channel.unit, f"{file}, channel {channel.name!r}")
    return places


def check_rate(rate: float, schema: SignalSchema, where: str) -> None:
    """Raises SamplingRateError if a rate in Hz is not the schema's."""
    if not math.isclose(rate, schema.sampling_rate, rel_tol=_RATE_TOLERANCE):
        raise SamplingRateError(
            f"{where}: sampled at another rate than the schema's {schema.sampling_rate:g} Hz",
            hint="resample the signals, or agree on another schema",
        )


def check_unit(unit: str, wanted: str, where: str) -> None:
    """Raises SamplingRateError if a unit is not the schema's; EDF may only write uV for µV."""
    if _ascii_micro(unit) != _ascii_micro(wanted):
        raise SamplingRateError(
            f"{where}: recorded in another unit than the schema's {wanted!r}",
            hint="convert the values, or agree on another schema",
        )


def _ascii_micro(unit: str) -> str:
    return unit.strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")


def _start(recording: _Recording, places: list[int], index: Index, row: int, length: int) -> int:
    samples = min(recording.samples[place] for place in places)
    if index.starts is None:
        if any(recording.samples[place] != length for place in places):
            raise ShapeError(
                f"{index.where(row)}: not exactly {length} samples in every channel",
                hint="give a CSV with a column 'start' to cut records out of longer recordings",
            )
        return 0
    start = int(index.starts[row])
    if start + length > samples:
        raise ShapeError(
            f"{index.where(row)}: fewer than {length} samples from its start on",
            hint="correct 'start', or leave this record out",
        )
    return start


def _open_edf(file: Path, allow_identified: bool) -> _Recording:
    edf = _optional("edfio", "edf").read_edf(file, header_encoding="latin-1")  # µV occurs, against the norm
    if not allow_identified and (fields := _identity(edf)):
        raise IdentifiedError(
            f"{file}: the header carries {', '.join(fields)}",
            hint="write X into these fields (edfio: anonymize), or set allow_identified = true: only samples "
            "are used",
        )
    if edf.reserved.startswith("EDF+D") and not edf.is_continuous:
        raise UnreadableFileError(
            f"{file}: the recording has gaps", hint="split it into continuous recordings"
        )
    signals = edf.signals

    def cut(places: list[int], start: int, length: int) -> NDArray[Any]:
        rows = []
        for signal in (signals[place] for place in places):
            if signal.physical_min == signal.physical_max or signal.digital_min >= signal.digital_max:
                raise UnreadableFileError(f"{file}: the calibration of a channel is not valid")
            rate = signal.sampling_frequency
            rows.append(signal.get_data_slice(start / rate, (start + length) / rate))
        return np.stack(rows)

    return _Recording(
        names=[signal.label for signal in signals],
        units=[signal.physical_dimension for signal in signals],
        rates=[signal.sampling_frequency for signal in signals],
        samples=[signal.samples_per_data_record * edf.num_data_records for signal in signals],
        cut=cut,
    )


def _identity(edf: Any) -> list[str]:
    """Fields of an EDF header that name the patient. EDF+ has parts, plain EDF the same or a free text."""
    text = edf.local_patient_identification
    parts = text.split()
    if not edf.reserved.startswith("EDF+") and not re.match(r"\S+ [MFX] (X|\d\d-\w{3}-\d{4}) \S+", text):
        named = any(part.upper() != "X" for part in parts)
        return ["the local patient identification"] if named else []
    places = {0: "the patient's code", 2: "the patient's birthdate", 3: "the patient's name"}
    return [name for place, name in places.items() if place < len(parts) and parts[place].upper() != "X"]


def _open_wfdb(file: Path) -> _Recording:
    wfdb = _optional("wfdb", "wfdb")
    name = os.path.abspath(file.with_suffix(""))
    if "::" in name or "://" in name:  # wfdb's file layer would read it as an address
        raise UnreadableFileError(
            f"{file}: the path contains '::' or '://'", hint="rename the folder or file"
        )
    header = wfdb.rdheader(name)
    if getattr(header, "n_seg", None) is not None or header.sig_len is None or not header.sig_name:
        raise UnreadableFileError(
            f"{file}: the header has segments, no channels or no number of samples",
            hint="only WFDB records of one segment are read",
        )
    if any(not re.fullmatch(r"[\w-][\w.-]*", part) for part in header.file_name):
        raise UnreadableFileError(f"{file}: the header names a signal file outside its own folder")
    if "8" in header.fmt:  # stored as differences: a cut would start from a wrong value
        raise UnreadableFileError(f"{file}: signal format 8 is not read", hint="convert it to format 16")

    def cut(places: list[int], start: int, length: int) -> NDArray[Any]:
        record = wfdb.rdrecord(name, sampfrom=start, sampto=start + length, channels=places)
        return np.asarray(record.p_signal).T

    return _Recording(
        names=header.sig_name,
        units=header.units,
        rates=[header.fs] * header.n_sig,  # of frames: wfdb averages where a frame has several samples
        samples=[header.sig_len] * header.n_sig,
        cut=cut,
    )


def _optional(package: str, extra: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackageError(
            f"the package {package} is not installed", hint=f"pip install 'fedcgan[{extra}]'"
        ) from error


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """What a format's reader raises, or only warns of, becomes an error with the file's name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # between the reader and what it uses
            warnings.simplefilter("error", UserWarning)  # edfio only warns when a file is cut off
            warnings.simplefilter("error", RuntimeWarning)
            yield
    except FedcganError:
        raise
    except Exception as error:  # readers let every error of a damaged header through
        raise UnreadableFileError(
            f"{file} cannot be read as a recording",
            hint="an EDF file, or a WFDB header (.hea) with its signal files beside it; it may be cut off",
        ) from error
