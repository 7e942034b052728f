"""Which names and sizes a bundle may have. Checked before anything is opened."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import BundlePathError

MANIFEST, SIGNATURE, SIGNATURES = "manifest.json", "manifest.sig.json", "signatures/"
"""The manifest, the coordinator's signature of it, and where those of the sites are."""

MOST_FILES = 2_000
MOST_BYTES = 64 << 30
"""Of one bundle, all files together."""

_LONGEST, _DEEPEST = 160, 6
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?"  # no dot at either end
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def names_a_device(part: str) -> bool:
    """Whether a file or folder of this name, whatever its suffixes, would be a device on some systems."""
    return part.partition(".")[0].lower() in _DEVICES


def check_path(path: str) -> None:
    """Raise BundlePathError unless ``path`` is relative, plain, and a file's name on every system."""
    parts = path.split("/")
    if len(path) > _LONGEST or len(parts) > _DEEPEST or not _PATH.fullmatch(path):
        raise _refused(f"a name that no bundle has: {path[:_LONGEST]!r}")
    if any(names_a_device(part) for part in parts):
        raise _refused(f"{path!r} names a device on some systems")


def check_paths(sizes: Iterable[tuple[str, int]]) -> None:
    """Raise BundlePathError unless these files, with their bytes, can lie in one folder on every system.

    Names that differ only in case are one file on some; a file cannot be a folder too.
    """
    taken: set[str] = set()
    folders: set[str] = set()
    total = 0
    for count, (path, size) in enumerate(sizes, 1):
        check_path(path)
        total += size
        if count > MOST_FILES or total > MOST_BYTES or size < 0:
            raise _refused(f"more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB")
        folded = path.lower()
        if folded in taken:
            raise _refused(f"{path!r} stands twice, or differs from another name in case only")
        taken.add(folded)
        parts = folded.split("/")
        folders.update("/".join(parts[:end]) for end in range(1, len(parts)))
    if both := taken & folders:
        raise _refused(f"{min(both)!r} would be a file and a folder")


def is_counter_signature(path: str) -> bool:
    """Whether a file would be a site's signature: ``signatures/NAME.json``."""
    return path.startswith(SIGNATURES) and path.endswith(".json") and path.count("/") == 1


def _refused(why: str) -> BundlePathError:
    return BundlePathError(
        f"this bundle is not opened: {why}",
        hint="somebody made it up or damaged it; get the bundle again",
    )
