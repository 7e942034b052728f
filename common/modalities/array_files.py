"""Images or signals from whatever a site keeps them in, and back to one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Arrays
from ..durable import write_whole
from ..schema import ArraySchema, ImageSchema, SignalSchema
from .image_files import read_images
from .signal_files import read_signals


def read_arrays(path: Path, schema: ArraySchema, *, allow_identified: bool = False) -> Arrays:
    """Records of the schema's kind. Raises DataError's kinds, naming files, never their content.

    allow_identified: take files that carry somebody's identity, too; it is not read
    """
    if isinstance(schema, ImageSchema):
        return read_images(path, schema, allow_identified=allow_identified)
    assert isinstance(schema, SignalSchema)
    return read_signals(path, schema, allow_identified=allow_identified)


def write_records(arrays: Arrays, schema: ArraySchema, path: Path) -> None:
    """Records as an npz that ``read_arrays`` reads. Raises StorageError."""
    content: dict[str, Any] = {
        "x": arrays.values,
        "y": np.array(schema.label.categories)[arrays.labels],
    }
    if schema.subject is not None:
        content["subject"] = arrays.subjects

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:  # savez would add a suffix to a path
            np.savez(file, allow_pickle=False, **content)

    write_whole(path, write)
