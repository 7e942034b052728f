"""Files and names in a folder that are whole, and survive a power cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .errors import StorageError
from .sampler.files import replace_whole, sync_folder

__all__ = ["check_free", "sync_folder", "write_whole"]


def check_free(path: Path) -> None:
    """Raise StorageError if there is something at ``path``: what a person made is never written over."""
    if path.exists() or path.is_symlink():
        raise StorageError(f"{path} exists already", hint="choose another name with --out, or remove it")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(temporary_path)`` produce a file, then put it in place of ``path`` atomically.

    Raises StorageError (disk full, no permission); no partial file is left behind.
    """
    try:
        replace_whole(path, write)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or type(error).__name__}",
            hint="free some space or choose another folder; what was finished before is kept",
        ) from error
