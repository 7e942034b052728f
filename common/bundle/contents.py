"""The files of a bundle, in a folder or a zip: every name and size is known before anything is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol

from ..errors import BundleError, BundlePathError, ExtraFileError, StorageError
from .paths import MOST_FILES, SIGNATURES, check_paths

CHUNK = 1 << 20
"""Bytes read at a time."""


class Contents(Protocol):
    """Where a bundle's files are. sizes: bytes of every file there is, by path"""

    sizes: dict[str, int]

    def open(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """One of these files. Raises OSError or BundleZipError, also while it is read."""


def opened(path: Path) -> Contents:
    """The bundle at ``path``: a folder, or a file, which must be a zip.

    Raises BundlePathError for names, links and sizes that no bundle has, BundleZipError, or BundleError.
    """
    from .archive import ZipContents

    try:
        if path.is_dir():
            return FolderContents(path)
        if path.is_file():
            return ZipContents(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}", hint="may you read it?") from error
    raise BundleError(
        f"there is no bundle at {path}", hint="fedcgan release RUN makes one; a folder, or a file .zip"
    )


def chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """At most ``size`` + 1 bytes: one too many shows that a file grew."""
    left = size + 1
    while left and (chunk := file.read(min(left, CHUNK))):
        left -= len(chunk)
        yield chunk


class FolderContents:
    """A bundle in a folder. Raises BundlePathError for links and for what is neither file nor folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sizes = dict(_walk(folder, ""))
        check_paths(self.sizes.items())

    def open(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """One of its files; a link that took its place since is not followed."""
        return os.fdopen(os.open(self._folder / path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    count = 0
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries, 1):
            path = prefix + entry.name
            facts = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode) and path.count("/") < 16:
                yield from _walk(folder / entry.name, path + "/")
            elif stat.S_ISREG(facts.st_mode) and count <= MOST_FILES:
                yield path, facts.st_size
            else:
                raise BundlePathError(
                    f"{path!r} is a link, or no file, or one too many", hint="a bundle holds plain files only"
                )
    if not count and prefix not in ("", SIGNATURES):
        raise ExtraFileError(f"{prefix} is an empty folder", hint="remove it")
