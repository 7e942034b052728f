"""A bundle as one zip file, the same bytes wherever and whenever it is made.

Members are stored and not compressed, in order of their names, without times, comments or extra fields; so
nothing can unpack to more than it weighs, and nothing can hide between members. Zip64 is not used: a bundle
of 4 GiB or more travels as a folder.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..durable import write_whole
from ..errors import BundleZipError
from .contents import Contents, chunks
from .paths import MOST_FILES, check_paths

_LARGEST = (1 << 32) - (1 << 24)
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_LOCAL, _CENTRAL, _END = 30, 46, 22  # bytes of a zip's records, without names
_MODE = 0o100644 << 16
_UNIX = 3

# what Python's zipfile lets through for files that somebody damaged or made up
_NO_ZIP = (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError, struct.error)


def write_zip(contents: Contents, path: Path) -> None:
    """Write all files of a bundle as one zip, whole or not at all. Raises BundleZipError or StorageError."""
    if _size(contents) > _LARGEST:
        raise BundleZipError("a zip holds less than 4 GiB", hint="send the folder instead")

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name, size in sorted(contents.sizes.items()):
                with contents.open(name) as source, archive.open(_member(name, size), "w") as target:
                    for chunk in chunks(source, size):
                        target.write(chunk)

    write_whole(path, write)


def _member(name: str, size: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _LONG_AGO)
    member.create_system, member.external_attr, member.file_size = _UNIX, _MODE, size
    return member


def _size(contents: Contents) -> int:
    records = sum(_LOCAL + _CENTRAL + 2 * len(name) for name in contents.sizes)
    return records + sum(contents.sizes.values()) + _END


class ZipContents:
    """A bundle in a zip that is byte for byte what ``write_zip`` makes. Raises BundleZipError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                if len(members) > MOST_FILES:
                    raise _refused(f"more than {MOST_FILES} files")
                self.sizes = {member.filename: member.file_size for member in members}
                check_paths((member.filename, member.file_size) for member in members)
                _check(members, path)
        except _NO_ZIP as error:
            raise _refused("it is damaged, cut off or no zip") from error

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """One of its files; its checksum is checked as it is read to its end."""
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open(path) as member:
                yield member
        except _NO_ZIP as error:
            raise _refused(f"{path} in it is damaged") from error


def _check(members: list[zipfile.ZipInfo], path: Path) -> None:
    """Raise BundleZipError unless every byte that is no content is the one ``write_zip`` writes."""
    with path.open("rb") as file:
        start = 0
        for member in members:
            expected = _member(member.filename, member.file_size)
            expected.CRC, expected.compress_size = member.CRC, member.file_size
            expected.header_offset = start
            file.seek(start)
            header = expected.FileHeader(zip64=False)
            if _facts(member) != _facts(expected) or file.read(len(header)) != header:
                raise _refused(f"the member {member.filename!r} is not as we write it")
            start += len(header) + member.file_size
        central = sum(_CENTRAL + len(member.filename) for member in members)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(members), len(members), central, start, 0)
        file.seek(start + central)
        if [*members] != sorted(members, key=lambda one: one.filename) or file.read(_END + 1) != end:
            raise _refused("something is before, between or behind its members")


def _facts(member: zipfile.ZipInfo) -> tuple[object, ...]:
    """All that the central directory says of a member."""
    return (
        member.orig_filename,
        *(member.date_time, member.compress_type, member.comment, member.extra, member.flag_bits),
        *(member.create_system, member.create_version, member.extract_version, member.reserved),
        *(member.volume, member.internal_attr, member.external_attr, member.header_offset),
        *(member.CRC, member.compress_size, member.file_size),
    )


def _refused(why: str) -> BundleZipError:
    return BundleZipError(
        f"this zip is no bundle: {why}",
        hint="if you packed it yourself: unpack it, and verify the folder; else get it again",
    )
