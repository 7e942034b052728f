"""``generator.onnx``: the network and all that a sampler needs, compared with torch before it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from common.array_generator import ReleasedArrays
from common.durable import write_whole
from common.errors import ExportError
from common.generator import ReleasedGenerator
from common.modalities.layout import Layout
from common.released import Released
from common.sampler.arrays import array_metadata
from common.sampler.errors import FileError
from common.sampler.session import FORMAT, NAME, ArrayFile, TableFile, parse
from common.sampler.table import table_metadata

from .onnx_graph import array_model, table_model

__all__ = ["NAME", "TOLERANCE", "export_onnx"]

TOLERANCE = 1e-4
"""Largest difference from torch of a probability, or of a value between -1 and 1.

On some processors torch's own convolutions in float32 are 2e-5 away from those in float64.
"""

_COMPARED = 64  # inputs, more than one batch of any runtime's vector unit


def export_onnx(generator: Released, path: Path) -> None:
    """Write the generator, whole or not at all.

    Raises ExportError if the file would give other numbers than torch, StorageError if it cannot be written.
    """
    model = _table(generator) if isinstance(generator, ReleasedGenerator) else _arrays(generator)
    raw = model.SerializeToString()
    _compare(raw, generator)
    write_whole(path, lambda temporary: temporary.write_bytes(raw))


def _table(generator: ReleasedGenerator) -> onnx.ModelProto:
    table, layout = generator.table, Layout.of(generator.schema)
    first = np.concatenate([[0], np.cumsum(layout.generated)])
    parts = [slice(table.starts[place], table.starts[place + 1]) for place in table.generated]
    groups = [table.groups[part] + start for part, start in zip(parts, first, strict=False)]
    shares = np.concatenate([table.shares[part] for part in parts])
    model = table_model(
        generator.generator, layout.generated, layout.conditions, np.concatenate(groups), shares
    )
    return _described(model, generator, table_metadata(table))


def _arrays(generator: ReleasedArrays) -> onnx.ModelProto:
    schema = generator.schema
    model = array_model(generator.generator, schema.shape, schema.classes)
    return _described(model, generator, array_metadata(generator.kind))


def _described(model: onnx.ModelProto, generator: Released, about: dict[str, Any]) -> onnx.ModelProto:
    """Every value is JSON. The schema is in its canonical form, so that its hash can be checked."""
    prior = np.asarray(about["prior"])
    known = {
        **about,
        "prior": (prior / prior.sum()).tolist() if prior.sum() else [1 / len(prior)] * len(prior),
        "format": FORMAT,
        "name": generator.schema.name,
        "schema_hash": generator.schema.hash,
        **{key: generator.facts[key] for key in ("epsilon", "delta", "unit", "plan")},
    }
    written = {key: json.dumps(value, allow_nan=False) for key, value in known.items()}
    onnx.helper.set_model_props(model, {**written, "schema": generator.schema.model_dump_json()})
    return model


def _compare(raw: bytes, generator: Released) -> None:
    try:
        found = parse(raw)
    except FileError as error:
        raise ExportError(f"the ONNX file cannot be read back: {error.__cause__ or error.message}") from error
    random = np.random.default_rng(0)
    if isinstance(found, TableFile):
        assert isinstance(generator, ReleasedGenerator)
        latents = random.integers(found.table.latents, size=_COMPARED)
        grid = found.table.grid()
        conditions = grid[random.integers(len(grid), size=_COMPARED)]
        ours, theirs = found.network(latents, conditions), generator.chances(latents, conditions)
    else:
        assert isinstance(found, ArrayFile)
        assert isinstance(generator, ReleasedArrays)
        labels = random.integers(found.kind.label.size, size=_COMPARED)
        noise = found.kind.points(_COMPARED, random)
        ours, theirs = found.network(noise, labels), generator.values(noise, labels)
    apart = float(np.abs(ours - theirs).max())
    if not apart <= TOLERANCE:
        raise ExportError(
            f"the ONNX form differs from the generator by {apart:.2g}, at most {TOLERANCE:g} is allowed"
        )
