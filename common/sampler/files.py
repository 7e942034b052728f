"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .errors import FileError


def sync_folder(folder: Path) -> None:
    """Make new, replaced and removed names in ``folder`` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(temporary_path)`` produce a file, then put it in place of ``path`` atomically.

    Raises OSError; no partial file is left behind.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """The same. Raises FileError."""
    try:
        replace_whole(path, write)
    except OSError as error:
        raise FileError(
            f"{path} cannot be written: {error.strerror or type(error).__name__}",
            hint="free some space or choose another folder; nothing was written",
        ) from error
