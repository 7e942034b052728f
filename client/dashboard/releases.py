"""Releases that lie at a site, in ``SITE/releases/``: folders or zips, each verified before it is shown.

What is played with are bytes that were held against the signed manifest, kept apart from the files they came
from: nobody can change those between the check and the use.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.bundle.verification import Verified, verify
from common.bundle.words import attention, not_proven, proven
from common.crypto.secret_file import write_secret
from common.sampler.session import NAME as ONNX

from ..signing import coordinator_of
from ..site import Site
from .later import Known, Later

_LARGEST = 1 << 28  # bytes of a generator
_MOST = 100  # releases that are looked at, by name


@dataclass(frozen=True, slots=True)
class Release:
    """One that verified. generator: where its generator.onnx was put, None if it has none"""

    verified: Verified
    generator: Path | None

    @property
    def attention(self) -> list[str]:
        """What must be read before anything else."""
        return attention(self.verified)

    @property
    def proven(self) -> list[str]:
        """What follows from the files alone."""
        return proven(self.verified)

    @property
    def not_proven(self) -> list[str]:
        """What no file can show."""
        return not_proven(self.verified)


class Releases:
    """Of one site. The copies of generators are gone with this object, or with the process."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._known: dict[Path, Later[Release]] = {}
        self._copies = Path(tempfile.mkdtemp(prefix="fedcgan-site-"))  # mode 0700
        self._gone = weakref.finalize(self, shutil.rmtree, self._copies, ignore_errors=True)

    @property
    def folder(self) -> Path:
        """Where a steward puts them."""
        return self.site.folder / "releases"

    def every(self, patience: float = 0.15) -> dict[str, Known[Release]]:
        """By name: what the verification says, as far as it is. patience: seconds to wait for each"""
        return {path.name: self._of(path).get(_state(path), patience) for path in self._paths()}

    def find(self) -> Mapping[str, Path]:
        """The generators of those that verified, by name, for the playground."""
        known = ((name, found.value) for name, found in self.every(0.0).items() if found.fresh)
        return {name: one.generator for name, one in known if one is not None and one.generator is not None}

    def _paths(self) -> list[Path]:
        """Folders and zips; no links: they could lead to records."""
        found = (
            path
            for path in sorted(self.folder.glob("*"))
            if not path.is_symlink() and not path.name.startswith(".")
        )
        return [path for path in found if path.is_dir() or path.suffix == ".zip"][:_MOST]

    def _of(self, path: Path) -> Later[Release]:
        return self._known.setdefault(path, Later(lambda: self._verified(path)))

    def _verified(self, path: Path) -> Release:
        """Raises BundleError or one of its kinds, NotJoinedError, StorageError."""
        checked = verify(path, signer=coordinator_of(self.site), complete=False)
        if not checked.bundle.has(ONNX):
            return Release(checked, None)
        # the same bundle may lie there as a folder and as a zip, both verified at this moment
        place = hashlib.sha256(path.name.encode()).hexdigest()[:16]
        copy = self._copies / f"{checked.manifest.hash}-{place}.onnx"
        write_secret(copy, checked.bundle.read(ONNX, _LARGEST))
        return Release(checked, copy)


def _state(path: Path) -> object:
    """Another one when a file was put in, taken out or written to."""
    files = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    return tuple((str(file), file.lstat().st_mtime_ns, file.lstat().st_size) for file in files)
