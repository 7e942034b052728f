"""Files and names in a folder that are whole, and survive a power cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .errors import StorageError


def sync_folder(folder: Path) -> None:
    """Make new, replaced and removed names in ``folder`` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(temporary_path)`` produce a file, then put it in place of ``path`` atomically.

    Raises StorageError (disk full, no permission); no partial file is left behind.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or type(error).__name__}",
            hint="free some space or choose another folder; what was finished before is kept",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
