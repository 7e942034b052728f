"""Images and their classes from files: a folder for each class, a CSV that lists files, or an npz.

Files are input from outside: none is unpickled, none is decoded before its size is known to fit, and
messages name files, rows and sizes, never a label or a pixel.
"""

from __future__ import annotations

import io
import math
import re
import warnings
import zipfile
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..arrays import Arrays
from ..errors import (
    ColumnError,
    DataError,
    MissingValueError,
    ShapeError,
    UnreadableFileError,
    ValueNotAllowedError,
)
from ..schema import ImageSchema
from .dicom_files import check_size, file_bytes, read_dicom

TOTAL_LIMIT = 8 << 30
"""Bytes of all images together, and of one array of an npz, when unpacked."""

_STRAY = {"thumbs.db", "desktop.ini"}  # what file managers leave; on other systems such files are hidden
_UNSAFE = re.compile(r'[\x00-\x1f\x7f%/\\:*?"<>|\ud800-\udfff]|^\.|[. ]$')
_DEVICE = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", re.IGNORECASE)  # on Windows
_KINDS = "a folder with one folder of images for each class, a CSV with a column 'path', or an .npz"
_NPZ = "arrays x (uint8), y (labels) and subject if the schema names one, by numpy.savez_compressed"


def read_images(path: Path, schema: ImageSchema, *, allow_identified: bool = False) -> Arrays:
    """All images of a source as uint8[records, channels, size, size], their classes and subjects.

    The source is a folder PATH/<category>/<any>.png, .jpg, .jpeg or .dcm; or a CSV with the columns ``path``
    (relative to the CSV's folder), the label and the subject if the schema names one (others are not read);
    or an .npz with ``x`` uint8[n, h, w], [n, h, w, c] or [n, c, h, w], ``y`` and ``subject``. The order is
    that of the rows, or of the sorted names.

    allow_identified: read DICOM files that say whose image they are (the tags are not kept)

    Raises DataError: UnreadableFileError, ShapeError, ValueNotAllowedError, MissingValueError, ColumnError,
    IdentifiedError; MissingPackageError if there is DICOM and no pydicom.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the decoders' warnings quote values; what they are about is refused
        if path.is_dir():
            files, labels, subjects = *_listed_by_folder(path, schema), None
        elif path.is_file() and path.suffix.lower() == ".csv":
            files, labels, subjects = _listed_by_csv(path, schema)
        elif path.is_file() and path.suffix.lower() == ".npz":
            return _read_npz(path, schema)
        elif path.exists():
            raise UnreadableFileError(f"{path} is no source of images", hint=_KINDS)
        else:
            raise DataError(f"there are no images at {path}", hint=_KINDS)
        return Arrays(_decoded(files, path, schema, allow_identified), labels, subjects)


def folder_name(category: str) -> str:
    """A category as a file name that every system allows; different categories give different names.

    Characters that are not allowed are percent-encoded, the percent sign too.
    """
    name = _UNSAFE.sub(lambda found: _percent(found[0]), category)
    return _DEVICE.sub(lambda found: _percent(found[0][0]) + found[0][1:], name)


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def _listed_by_folder(path: Path, schema: ImageSchema) -> tuple[list[Path], NDArray[np.int64]]:
    if schema.subject:
        raise ColumnError(
            f"{path}: folders of images do not say whose they are, the schema asks for {schema.subject!r}",
            hint=f"list the files in a CSV with the columns path, {schema.label.name}, {schema.subject}",
        )
    codes = {str(category): code for code, category in enumerate(schema.label.categories)}
    codes |= {folder_name(category): code for category, code in list(codes.items())}
    files: list[Path] = []
    labels: list[int] = []
    for folder in _visible(path):
        if not folder.is_dir():
            raise UnreadableFileError(f"{folder} is a file outside the folders of the classes", hint=_KINDS)
        if folder.name not in codes:
            raise ValueNotAllowedError(f"{folder} is not a class of the schema", hint=_allowed(schema))
        found = _visible(folder)
        files += found
        labels += [codes[folder.name]] * len(found)
    return files, np.array(labels, np.int64)


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.name[0] != "." and p.name.lower() not in _STRAY)
    except OSError as error:
        raise UnreadableFileError(f"{folder} cannot be read: {error.strerror}") from error


def _listed_by_csv(
    path: Path, schema: ImageSchema
) -> tuple[list[Path], NDArray[np.int64], NDArray[np.str_] | None]:
    try:  # the header is read as a row, so that pandas neither renames nor guesses
        rows = pd.read_csv(
            path, header=None, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig"
        )
    except (OSError, ValueError) as error:  # of pandas' parser, of the encoding, too
        raise UnreadableFileError(
            f"{path} cannot be read as a table", hint="CSV with a header line"
        ) from error
    header = list(rows.iloc[0])
    wanted = ["path", schema.label.name, *([schema.subject] if schema.subject else [])]
    if wrong := [name for name in wanted if header.count(name) != 1]:
        raise ColumnError(
            f"{path} does not have exactly one column of each name: {wrong}",
            hint="the columns are " + ", ".join(wanted),
        )
    table = rows.iloc[1:, [header.index(name) for name in wanted]].set_axis(wanted, axis=1)
    for name in wanted:
        if (absent := table[name].isna().to_numpy()).any():
            raise MissingValueError(f"{path} row {_row(absent)}, column {name!r}: a value is missing")
    root = path.parent.resolve()
    files = [_inside(path, root, row, name) for row, name in enumerate(table["path"], 1)]
    labels = _codes(table[schema.label.name].to_numpy(str), schema, str(path))
    return files, labels, table[schema.subject].to_numpy(str) if schema.subject else None


def _inside(path: Path, root: Path, row: int, name: str) -> Path:
    """The file that a row names. A CSV may come from elsewhere: it reaches no file outside its folder."""
    parts = PureWindowsPath(name)  # it knows both kinds of slash, and drives
    try:
        file = path.parent.joinpath(*parts.parts)
        if not parts.anchor and ".." not in parts.parts and file.resolve().is_relative_to(root):
            return file
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is none
        pass
    raise ValueNotAllowedError(
        f"{path} row {row}, column 'path': it is not a path inside the folder of the CSV",
        hint="paths are relative, without .. and without links that lead elsewhere",
    )


def _row(flags: NDArray[np.bool_]) -> int:
    """The first flagged row, counted from 1 without the header."""
    return int(flags.argmax()) + 1


def _codes(texts: NDArray[np.str_], schema: ImageSchema, place: str) -> NDArray[np.int64]:
    allowed = pd.Index([str(category) for category in schema.label.categories], dtype=object)
    codes = allowed.get_indexer(pd.Index(texts.astype(object), dtype=object)).astype(np.int64)
    if (wrong := codes < 0).any():
        raise ValueNotAllowedError(
            f"{place} row {_row(wrong)}: the label is no class of the schema ({int(wrong.sum())} such rows)",
            hint=_allowed(schema),
        )
    return codes


def _allowed(schema: ImageSchema) -> str:
    return "allowed: " + ", ".join(str(category) for category in schema.label.categories)


def _decoded(files: list[Path], path: Path, schema: ImageSchema, allow_identified: bool) -> NDArray[np.uint8]:
    if not files:
        raise DataError(f"there are no images at {path}", hint=_KINDS)
    if len(files) * math.prod(schema.shape) > TOTAL_LIMIT:
        raise DataError(f"{path} has {len(files)} images, more than {TOTAL_LIMIT} bytes of this size")
    values = np.empty((len(files), *schema.shape), np.uint8)
    for place, file in enumerate(files):
        values[place] = _decode(file, schema, allow_identified)
    return values


def _decode(file: Path, schema: ImageSchema, allow_identified: bool) -> NDArray[np.uint8]:
    if (suffix := file.suffix.lower()) == ".dcm":
        return read_dicom(file, schema, allow_identified)
    if suffix not in {".png", ".jpg", ".jpeg"} or file.is_dir():
        raise UnreadableFileError(f"{file} is no image", hint="images are .png, .jpg, .jpeg or .dcm files")
    return _decode_picture(file, file_bytes(file), schema)


def _decode_picture(file: Path, content: bytes, schema: ImageSchema) -> NDArray[np.uint8]:
    """uint8[channels, size, size] of a PNG or JPEG. Only PNG has checksums; they are checked."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as image:
            check_size(file, image.size, schema)  # before anything is decompressed
            image.verify()  # the checksums, which loading skips; the image cannot be used after it
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as image:
            image.load()
            _check_colours(file, content, image, schema)
            upright = ImageOps.exif_transpose(image)  # it is a square, so its size stays
            pixels = np.asarray(upright.convert("L" if schema.channels == 1 else "RGB"))
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ShapeError(f"{file} has far more pixels than {schema.size}x{schema.size}") from error
    except Exception as error:  # Pillow lets the errors of its decoders through
        raise UnreadableFileError(
            f"{file} is damaged, cut off or no image", hint="take it out, or copy it from its origin again"
        ) from error
    return pixels[None] if schema.channels == 1 else pixels.transpose(2, 0, 1)


def _check_colours(file: Path, content: bytes, image: Image.Image, schema: ImageSchema) -> None:
    # Pillow narrows 16-bit colours without a word; byte 24 of a PNG is its bits of a value
    deep = image.format == "PNG" and (content[12:16] != b"IHDR" or content[24] == 16)
    if deep or image.mode.startswith(("I", "F")):
        raise ShapeError(f"{file} has 16 bits a value, images have 8", hint="convert all in the same way")
    if getattr(image, "n_frames", 1) > 1:
        raise ShapeError(f"{file} holds several pictures", hint="one file for each image")
    if "transparency" in image.info or image.mode.endswith(("A", "a")):
        raise ShapeError(f"{file} has an alpha channel", hint="paste it on a background beforehand")
    fitting = {"L", "1"} if schema.channels == 1 else {"RGB", "P"}
    if image.mode not in fitting:
        needed = "grey" if schema.channels == 1 else "red, green and blue"
        raise ShapeError(
            f"{file} has the colours {image.mode}, the schema says {needed}",
            hint=f"Image.open(a).convert({'L' if schema.channels == 1 else 'RGB'!r}).save(b)",
        )


def _read_npz(path: Path, schema: ImageSchema) -> Arrays:
    try:
        with zipfile.ZipFile(path) as archive:
            shape, kind = _npy_header(path, archive, "x")
            last = (*schema.shape[1:], schema.channels)
            grey = [schema.shape[1:]] if schema.channels == 1 else []
            if kind != np.uint8 or shape[1:] not in {schema.shape, last, *grey}:
                raise ShapeError(
                    f"{path}: x is {kind.name}{list(shape)}, the schema says uint8{['n', *last]}"
                )
            count = shape[0]
            labels = _codes(_texts(path, archive, "y", count), schema, str(path))
            subjects = _texts(path, archive, "subject", count) if schema.subject else None
            values = npz_array(path, archive, "x")
    except DataError:
        raise
    except Exception as error:  # zip files and the headers of arrays are damaged in many ways
        raise UnreadableFileError(f"{path} is damaged, cut off or no .npz", hint=_NPZ) from error
    if not count:
        raise DataError(f"there are no images at {path}", hint=_KINDS)
    if shape[1:] == last:
        values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    return Arrays(values.reshape(count, *schema.shape), labels, subjects)


def _texts(path: Path, archive: zipfile.ZipFile, name: str, count: int) -> NDArray[np.str_]:
    shape, kind = _npy_header(path, archive, name)
    if shape != (count,) or kind.kind not in "Uiu":
        raise ShapeError(f"{path}: {name} is {kind.name}{list(shape)}, not {count} texts or integers")
    texts = npz_array(path, archive, name).astype(str)
    if (absent := texts == "").any():
        raise MissingValueError(f"{path} row {_row(absent)}, {name!r}: a value is missing")
    return texts


def npz_array(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array of an npz: never objects, at most ``TOTAL_LIMIT`` bytes, its checksum verified.

    Raises ColumnError if there is none of this name, UnreadableFileError, and what zipfile and numpy raise.
    """
    _npy_header(path, archive, name)
    with archive.open(f"{name}.npy") as stream:
        array = npy.read_array(stream, allow_pickle=False)
        if stream.read(1):  # the checksum is compared at the end, which this reaches
            raise UnreadableFileError(f"{path}: {name} is longer than it says")
    return array


def _npy_header(path: Path, archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that an array declares; nothing of it is unpacked yet."""
    if f"{name}.npy" not in archive.namelist():
        raise ColumnError(f"{path} has no array {name!r}", hint=_NPZ)
    with archive.open(f"{name}.npy") as stream:
        version = npy.read_magic(stream)
        readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        shape, _, kind = readers[version](stream)  # others are for types that do not fit anyway
    if kind.hasobject:
        raise UnreadableFileError(f"{path}: {name} holds Python objects, which are never loaded", hint=_NPZ)
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize > TOTAL_LIMIT:
        raise UnreadableFileError(f"{path}: {name} declares more than {TOTAL_LIMIT} bytes")
    return shape, kind
