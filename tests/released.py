"""Generators with random weights, as they are released: everything about them is real but their training."""

from __future__ import annotations

import numpy as np
import torch

from common.array_generator import ReleasedArrays
from common.generator import ReleasedGenerator
from common.modalities.array_layout import ArrayLayout
from common.modalities.grouping import Grouping
from common.modalities.layout import Layout
from common.models.pair import Pair
from common.phases import ArrayModel, Model
from common.schema import ArraySchema, TableSchema

FACTS = {
    "epsilon": 1.0,
    "delta": 1e-5,
    "unit": "add/remove one record",
    "plan": "0" * 64,
    "records_estimated": 1000,
    "prior_noise": 5.0,
}

MIXED = TableSchema.model_validate(
    {
        "name": "mixed",
        "columns": [
            {"name": "admitted", "kind": "date", "bounds": ["2019-01-01", "2020-12-31"], "bins": 8},
            {
                "name": "discharged",
                "kind": "date",
                "bounds": ["2019-01-01", "2021-06-30"],
                "cuts": ["2019-07-01", "2020-01-01", "2020-07-01"],
                "atoms": ["2019-01-01"],
                "missing": True,
            },
            {"name": "drugs", "kind": "number", "bounds": [0, 500], "decimals": 2, "bins": 8, "scale": "log"},
            {"name": "ward", "kind": "number", "bounds": [0, 900], "decimals": 1, "cuts": [100.5, 300]},
            {
                "name": "cost",
                "kind": "number",
                "bounds": [0, 1300],
                "decimals": 2,
                "bins": 6,
                "missing": True,
            },
            {
                "name": "visits",
                "kind": "number",
                "bounds": [0, 9],
                "decimals": 0,
                "cuts": [2, 5],
                "atoms": [0],
            },
            {"name": "grade", "kind": "category", "categories": [1, 2, 3], "ordered": True},
            {"name": "smoker", "kind": "category", "categories": ["no", "yes, often"], "missing": True},
            {
                "name": "diagnosis",
                "kind": "category",
                "categories": ["none", "mild", "bad"],
                "ordered": True,
                "condition": True,
            },
            {"name": "sex", "kind": "category", "categories": ["f", "m"], "condition": True},
        ],
        "constraints": [
            {"kind": "at-most", "left": "admitted", "right": "discharged"},
            {"kind": "at-most", "left": "drugs", "right": "ward"},
            {"kind": "sum", "total": "cost", "parts": ["drugs", "ward"]},
            {
                "kind": "implies",
                "when": {"diagnosis": "none"},
                "then": {"visits": [0, 1], "smoker": "missing"},
            },
            {"kind": "implies", "when": {"diagnosis": "bad", "smoker": "no"}, "then": {"grade": [2, 3]}},
        ],
    }
)


def table(schema: TableSchema = MIXED, seed: int = 0, prior: object = None) -> ReleasedGenerator:
    """A generator of 32 points."""
    random = np.random.default_rng(seed)
    counts = [100_000 * random.dirichlet(np.full(size, 0.5)) + 1 for size in schema.sizes]
    grouping = Grouping.from_counts(counts, np.full(len(counts), 5.0), 5.0, schema)
    model = Model(latents=32, latent=8, generator_hidden=(16, 16), discriminator_hidden=(8,))
    layout = Layout.of(schema)
    generator = Pair.new(layout, model, seed).generator
    _shaken(generator, seed)
    shares = random.dirichlet(np.ones(int(np.prod(layout.conditions)))) if prior is None else np.array(prior)
    return ReleasedGenerator(schema, model, generator, shares, grouping, dict(FACTS))


def arrays(schema: ArraySchema, seed: int = 0, **model: object) -> ReleasedArrays:
    """A small generator of images or signals."""
    sizes = {
        "latent": 8,
        "categories": 0,
        "factors": 0,
        "coefficients": 8,
        "generator": "film",
        "generator_hidden": (16, 16),
        "generator_width": 16,
        "discriminator_width": 16,
    }
    built = ArrayModel.model_validate({**sizes, **model})
    generator = Pair.new(ArrayLayout.of(schema), built, seed).generator
    _shaken(generator, seed)
    return ReleasedArrays(schema, built, generator, np.ones(schema.classes) / schema.classes, dict(FACTS))


def _shaken(generator: torch.nn.Module, seed: int) -> None:
    """Layers that start at zero, conditions among them, take part."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=random))
