"""A bundle being read: its manifest, and its files held against it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..errors import (
    AlteredFileError,
    BundleSignatureError,
    CounterSignatureError,
    ExtraFileError,
    FedcganError,
    ManifestError,
    MissingFileError,
    StorageError,
)
from .contents import Contents, chunks, opened
from .manifest import MANIFEST_LIMIT, File, Manifest
from .paths import MANIFEST, SIGNATURE, is_counter_signature
from .signatures import SIGNATURE_LIMIT, check_coordinator, check_site

_HINT = "it was damaged on its way, or changed after it was signed; get the bundle again"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Names, sizes and the form of the manifest are checked; signatures and contents by its methods."""

    contents: Contents
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Self:
        """The bundle at ``path``, a folder or a zip. Raises BundleError or one of its kinds."""
        contents = opened(path)
        raw = _raw(contents, MANIFEST, MANIFEST_LIMIT, ManifestError)
        return cls(contents, Manifest.from_json(raw))

    def check_signature(self) -> None:
        """Raise BundleSignatureError unless the manifest is signed by the coordinator it names."""
        raw = _raw(self.contents, SIGNATURE, SIGNATURE_LIMIT, BundleSignatureError)
        check_coordinator(raw, self.manifest)

    def check_files(self, read: Callable[[int], None] = lambda _: None) -> None:
        """Hold every file against the manifest. read: is told of bytes as they are read.

        Raises MissingFileError, ExtraFileError, AlteredFileError or StorageError.
        """
        listed = {file.path for file in self.manifest.files}
        there = {path for path in self.contents.sizes if path not in (MANIFEST, SIGNATURE)}
        if absent := sorted(listed - there):
            raise MissingFileError(f"{_first(absent)} of the manifest is not there", hint=_HINT)
        unknown = sorted(path for path in there - listed if not is_counter_signature(path))
        if unknown:
            raise ExtraFileError(f"{_first(unknown)} is not in the manifest", hint="take it out")
        for file in self.manifest.files:
            self._check(file, read)

    def read(self, path: str, limit: int) -> bytes:
        """The content of a file of the manifest, at most ``limit`` bytes, as its hash says it is.

        Raises MissingFileError or AlteredFileError.
        """
        file = self.manifest.file(path)
        if file is None or path not in self.contents.sizes:
            raise MissingFileError(f"{path} is missing, without which a bundle is not whole", hint=_HINT)
        raw = _raw(self.contents, path, min(limit, file.size), AlteredFileError)
        if len(raw) != file.size or hashlib.sha256(raw).hexdigest() != file.sha256:
            raise _altered(path)
        return raw

    def has(self, path: str) -> bool:
        """Whether the manifest knows this file."""
        return self.manifest.file(path) is not None

    def counter_signed(self) -> list[str]:
        """Sites whose counter-signatures lie in the bundle, verified. Raises CounterSignatureError."""
        return [
            check_site(_raw(self.contents, path, SIGNATURE_LIMIT, CounterSignatureError), path, self.manifest)
            for path in sorted(filter(is_counter_signature, self.contents.sizes))
        ]

    def _check(self, file: File, read: Callable[[int], None]) -> None:
        if self.contents.sizes[file.path] != file.size:
            raise _altered(file.path)
        hasher = hashlib.sha256()
        try:
            with self.contents.open(file.path) as source:
                for chunk in chunks(source, file.size):
                    hasher.update(chunk)
                    read(len(chunk))
        except OSError as error:
            raise StorageError(f"{file.path} cannot be read: {error.strerror}") from error
        if hasher.hexdigest() != file.sha256:
            raise _altered(file.path)


def _raw(contents: Contents, path: str, limit: int, error_kind: type[FedcganError]) -> bytes:
    """A whole file, bounded. Raises ``error_kind``."""
    if path not in contents.sizes:
        raise error_kind(f"there is no {path}", hint="is this a bundle? fedcgan release RUN makes one")
    if contents.sizes[path] > limit:
        raise error_kind(f"{path} has more than {limit} bytes", hint=_HINT)
    try:
        with contents.open(path) as source:
            return b"".join(chunks(source, limit))
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


def _altered(path: str) -> AlteredFileError:
    return AlteredFileError(f"{path} is not the file that was signed", hint=_HINT)


def _first(paths: Iterable[str]) -> str:
    first, *others = paths
    return repr(first) + (f" (and {len(others)} more)" if others else "")
