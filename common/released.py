"""Any released generator, by what its description says it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import array_generator, release_files
from .array_generator import ReleasedArrays
from .generator import ReleasedGenerator

Released = ReleasedGenerator | ReleasedArrays


def load_release(folder: Path) -> Released:
    """The generator in ``folder``. Raises StorageError if it is absent, damaged or of another version."""
    return release_files.load(folder, _build)


def _build(description: dict[str, Any], weights: bytes) -> Released:
    if description["format"] == array_generator.FORMAT:
        return ReleasedArrays.build(description, weights)
    return ReleasedGenerator.build(description, weights)
