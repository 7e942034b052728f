"""What is written of generated images and signals; all of it says that it is synthetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .array_generator import ReleasedArrays
from .arrays import Arrays
from .errors import ConfigError
from .modalities import image_output, signal_output
from .sampler.output import first_of_each
from .schema import ArraySchema, ImageSchema, SignalSchema

_COLUMNS = 10  # of a gallery


class Origin(Protocol):
    """A generator, as far as files name it."""

    @property
    def schema(self) -> ArraySchema:
        """What its records are."""

    @property
    def facts(self) -> dict[str, Any]:
        """plan, epsilon, delta, unit."""


def write_samples(generator: Origin, arrays: Arrays, path: Path) -> int:
    """Records to a file or folder, by its suffix. Returns how many are there.

    Images: npz, a PNG grid, or a folder for each class. Signals: npz, Parquet, or a PNG figure. A picture has
    a row for each class, at most ten of it. Raises ConfigError for another suffix, StorageError if it cannot
    be written.
    """
    schema, facts = generator.schema, facts_of(generator)
    if path.suffix == ".png":
        some = first_of_each(arrays.values, arrays.labels)
        _write_grid(generator, some.rows, path, some.classes)
        return some.count
    if isinstance(schema, ImageSchema) and path.suffix in (".npz", ""):
        write = image_output.write_npz if path.suffix else image_output.write_folder
        write(arrays.values, arrays.labels, schema, path, facts)
    elif isinstance(schema, SignalSchema) and path.suffix in (".npz", ".parquet"):
        save = signal_output.write_npz if path.suffix == ".npz" else signal_output.write_parquet
        save(arrays.values, arrays.labels, schema, path, facts)
    else:
        kinds = ".npz, .png or a folder" if isinstance(schema, ImageSchema) else ".npz, .parquet or .png"
        raise ConfigError(f"{path.name}: samples cannot be written so", hint=f"a name that ends in {kinds}")
    return len(arrays)


def write_gallery(generator: ReleasedArrays, path: Path, seed: int) -> None:
    """Samples of every class from the same noise: a row for each class."""
    label = generator.schema.label
    rows = [
        generator.sample(_COLUMNS, {label.name: str(value)}, seed).values[None] for value in label.categories
    ]
    _write_grid(generator, np.concatenate(rows), path)


def write_interpolation(generator: Origin, values: NDArray[Any], path: Path) -> None:
    """Classes down, from one latent point to another across. Raises ConfigError unless it is a PNG.

    values: of ``sampler.arrays.interpolate``, [classes, steps, channels, ...]
    """
    if path.suffix != ".png":
        raise ConfigError("an interpolation is a picture", hint="-o NAME.png")
    _write_grid(generator, values, path)


def facts_of(generator: Origin) -> dict[str, str]:
    """What a file says of its origin."""
    facts = generator.facts
    return {
        "Plan": facts["plan"],
        "Epsilon": f"{facts['epsilon']:g}",
        "Delta": f"{facts['delta']:g}",
        "Unit": facts["unit"],
    }


def _write_grid(
    generator: Origin, values: NDArray[Any], path: Path, shown: NDArray[np.int64] | None = None
) -> None:
    """A row for each class shown, all of them if not given."""
    schema, facts = generator.schema, facts_of(generator)
    if isinstance(schema, ImageSchema):
        image_output.write_grid(values, path, facts)
    else:
        assert isinstance(schema, SignalSchema)
        signal_output.figure(values, schema, path, facts, shown)
