"""Small images and signals with two or ten known classes, and federations over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from common.arrays import Arrays
from common.columns import CategoryColumn
from common.config import (
    Data,
    Features,
    Federation,
    Model,
    Privacy,
    Release,
    SimulationConfig,
    Sites,
    Training,
)
from common.schema import ArraySchema, Channel, ImageSchema, SignalSchema
from common.simulation.prepare import Run, prepare

DIGITS = ImageSchema(
    kind="image",
    name="digits",
    label=CategoryColumn(name="digit", categories=tuple(range(10))),
    size=28,
    channels=1,
)

WAVES = SignalSchema(
    kind="signal",
    name="waves",
    label=CategoryColumn(name="kind", categories=("sine", "ramp")),
    sampling_rate=16.0,
    length=16,
    channels=(Channel(name="lead", unit="mV", bounds=(-2, 2)),),
)


def digits() -> Arrays:
    """1,797 real digits of 8 x 8 pixels (scikit-learn), enlarged to 28 x 28."""
    raw = load_digits()
    large = raw.images.repeat(3, axis=1).repeat(3, axis=2)
    values = np.pad(large, ((0, 0), (2, 2), (2, 2))) * (255 / 16)
    return Arrays(values[:, None].astype(np.uint8), raw.target.astype(np.int64))


def waves(count: int = 1200, seed: int = 0) -> Arrays:
    """Half sines of either sign, half ramps: two classes that a mean alone tells badly apart."""
    random = np.random.default_rng(seed)
    time = np.arange(16) / 16
    labels = np.arange(count) % 2
    size = random.uniform(0.5, 1.0, (count, 1))
    sign = random.choice([-1.0, 1.0], (count, 1))
    clean = np.where(labels[:, None] == 0, sign * np.sin(2 * np.pi * time), 2 * time - 1) * size
    return Arrays((clean + random.normal(0, 0.05, clean.shape))[:, None].astype(np.float32), labels)


def of(kind: str) -> tuple[Arrays, ArraySchema]:
    """Records and schema of ``image`` or ``signal``."""
    return (digits(), DIGITS) if kind == "image" else (waves(), WAVES)


def config(**changes: object) -> SimulationConfig:
    """Four sites, a short fit, small networks."""
    settings = SimulationConfig(
        name="toy",
        data=Data(table="toy.npz", schema="toy.toml"),
        sites=Sites(count=4),
        federation=Federation(threshold=3),
        privacy=Privacy(epsilon=10.0, delta=1e-5),
        model=Model(latent=8, generator_hidden=(32,), generator_width=32, discriminator_width=8),
        features=Features(coefficients=8, plain=40, windowed=20, fit_batch=16),
        release=Release(evaluate_share=0.0),  # tests of the last sum ask for it
        training=Training(records_per_site=100, fit_steps=60, sample_rate=0.1, generator_steps=2),
    )
    return settings.model_copy(update=changes)


def run_folder(folder: Path, arrays: Arrays, schema: ArraySchema, **changes: object) -> Run:
    """A prepared run."""
    return prepare(config(**changes), arrays, schema, folder)
