"""Synthetic images as files. Each file says that it is synthetic, in three ways that tools read.

PNG carries text chunks (``Software``, ``Synthetic`` and facts of the run) and an XMP packet with IPTC's
digital source type; an npz carries an array ``synthetic`` with the same lines.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..arrays import SOURCE_TYPE
from ..durable import sync_folder, write_whole
from ..errors import StorageError, UnreadableFileError
from ..sampler.provenance import PNG_TEXTS, XMP, XMP_KEY
from ..schema import ImageSchema
from .image_files import folder_name, npz_array


def mark(facts: dict[str, str]) -> PngInfo:
    """The chunks that every PNG gets: ours, these facts (the plan's hash, say), and the XMP packet.

    facts: by keywords of 1 to 79 Latin characters; ours cannot be replaced
    """
    info = PngInfo()
    for key, value in {**facts, **PNG_TEXTS}.items():
        info.add_text(key, value)
    info.add_itxt(XMP_KEY, XMP)
    return info


def write_png(image: NDArray[np.uint8], path: Path, facts: dict[str, str]) -> None:
    """Write uint8[channels, height, width] with the mark, whole or not at all. Raises StorageError."""
    write_whole(path, lambda temporary: _save(image, temporary, facts))


def _save(image: NDArray[np.uint8], path: Path, facts: dict[str, str]) -> None:
    pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
    Image.fromarray(pixels).save(path, format="PNG", pnginfo=mark(facts))


def grid(images: NDArray[np.uint8], border: int = 2) -> NDArray[np.uint8]:
    """One image of many, with white borders of this many pixels between and around them.

    images: uint8[rows, columns, channels, height, width]
    returns: uint8[channels, rows * (height + border) + border, columns * (width + border) + border]
    """
    rows, columns, channels, height, width = images.shape
    framed = np.pad(images, ((0, 0), (0, 0), (0, 0), (0, border), (0, border)), constant_values=255)
    sheet = framed.transpose(2, 0, 3, 1, 4).reshape(
        channels, rows * (height + border), columns * (width + border)
    )
    return np.pad(sheet, ((0, 0), (border, 0), (border, 0)), constant_values=255)


def write_grid(images: NDArray[np.uint8], path: Path, facts: dict[str, str], border: int = 2) -> None:
    """Write ``grid(images, border)`` as a PNG with the mark, whole or not at all. Raises StorageError."""
    write_png(grid(images, border), path, facts)


def write_folder(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    schema: ImageSchema,
    folder: Path,
    facts: dict[str, str],
) -> None:
    """Write each image as folder/<category>/000001.png, all of them or none; ``read_images`` reads them.

    images: uint8[records, channels, height, width]; labels: codes int64[records]
    Raises StorageError, also if the folder holds something: images of two runs must not mix.
    """
    temporary = folder.with_name(f".{folder.name}.new")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise StorageError(f"{folder} is not empty", hint="choose another folder, or remove it")
        shutil.rmtree(temporary, ignore_errors=True)  # of a run that was cut off
        temporary.mkdir(parents=True)
        for code, category in enumerate(schema.label.categories):
            place = temporary / folder_name(str(category))
            place.mkdir()
            for number, image in enumerate(images[labels == code], 1):
                _save(image, place / f"{number:06d}.png", facts)
        temporary.replace(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or type(error).__name__}",
            hint="free some space or choose another folder; nothing was written",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_npz(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    schema: ImageSchema,
    path: Path,
    facts: dict[str, str],
) -> None:
    """Write x (the images), y (their categories) and synthetic (the mark, ``key=value`` lines) as an npz.

    images: uint8[records, channels, height, width]; labels: codes int64[records]
    Whole or not at all; ``read_images`` reads it. Raises StorageError.
    """
    lines = {**facts, **PNG_TEXTS, "DigitalSourceType": SOURCE_TYPE}

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a name, numpy would add a suffix to it
            np.savez_compressed(
                file,
                x=images,
                y=np.array(schema.label.categories)[labels],
                synthetic=np.array([f"{key}={value}" for key, value in lines.items()]),
            )

    write_whole(path, save)


def is_marked(path: Path) -> bool:
    """Whether a PNG or an .npz carries the whole mark. Raises UnreadableFileError if it is neither."""
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                if "synthetic.npy" not in archive.namelist():
                    return False
                lines = set(npz_array(path, archive, "synthetic").ravel().astype(str).tolist())
            return {"Synthetic=true", f"DigitalSourceType={SOURCE_TYPE}"} <= lines
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get("Synthetic") == "true" and SOURCE_TYPE in image.info.get(XMP_KEY, "")
    except UnreadableFileError:
        raise
    except Exception as error:  # as when images are read, their decoders' errors come through
        raise UnreadableFileError(f"{path} is neither a PNG nor an .npz") from error
