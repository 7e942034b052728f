"""Made-up records of four hospitals: small, quick, with everything a schema can declare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from common.columns import CategoryColumn, NumberColumn
from common.config import (
    Data,
    Federation,
    Model,
    Privacy,
    Release,
    SimulationConfig,
    Sites,
    Task,
    Training,
)
from common.schema import TableSchema
from common.simulation.prepare import Run, prepare

HOSPITALS = ("north", "south", "east", "west")

SCHEMA = TableSchema(
    name="toy",
    subject="patient",
    columns=(
        NumberColumn(name="age", bounds=(0, 100), decimals=0, cuts=(20, 40, 60, 80), unit="years"),
        CategoryColumn(name="smoker", categories=("no", "yes"), missing=True),
        NumberColumn(
            name="cost", bounds=(0, 50_000), decimals=2, cuts=(100, 1000, 10_000), atoms=(0.0,), scale="log"
        ),
        CategoryColumn(name="grade", categories=(1, 2, 3), ordered=True),
        CategoryColumn(name="diagnosis", categories=("none", "mild", "severe"), condition=True),
        CategoryColumn(name="sex", categories=("female", "male"), condition=True),
    ),
)


def records(count: int = 1200, seed: int = 0) -> pd.DataFrame:
    """Rows in which columns depend on each other; two rows a patient."""
    random = np.random.default_rng(seed)
    age = random.integers(0, 101, count)
    severity = np.clip((age / 40 + random.normal(0, 0.6, count)).astype(int), 0, 2)
    cost = np.where(severity == 0, 0.0, np.round(random.lognormal(5 + severity, 1, count), 2)).clip(0, 50_000)
    smoker = pd.Series(np.where(random.random(count) < 0.2 + severity / 4, "yes", "no"), dtype="str")
    return pd.DataFrame(
        {
            "patient": np.arange(count) // 2,
            "hospital": np.array(HOSPITALS)[(np.arange(count) // 2) % 4],
            "age": age,
            "smoker": smoker.mask(random.random(count) < 0.05),
            "cost": cost,
            "grade": random.integers(1, 4, count),
            "diagnosis": np.array(["none", "mild", "severe"])[severity],
            "sex": np.where(random.random(count) < 0.5, "female", "male"),
        }
    )


def config(**changes: object) -> SimulationConfig:
    """Four hospitals, two rounds, small networks."""
    settings = SimulationConfig(
        name="toy",
        data=Data(table="toy.csv", schema="toy.toml"),
        sites=Sites(count=4, split="column", column="hospital"),
        federation=Federation(threshold=3),
        privacy=Privacy(epsilon=3.0, delta=1e-5),
        model=Model(latent=8, generator_hidden=(16,), discriminator_hidden=(16,)),
        training=Training(
            records_per_site=100,
            schedule="local",
            rounds=2,
            local_steps=3,
            generator_steps=2,
            sample_rate=0.1,
            fit_steps=40,
        ),
        release=Release(evaluate_share=0.0),  # tests of the last sum ask for it
        evaluation=Task(target="cost", above=0, exclude=("grade",)),
    )
    return settings.model_copy(update=changes)


def run_folder(folder: Path, **changes: object) -> Run:
    """A prepared run."""
    return prepare(config(**changes), records(), SCHEMA, folder)
