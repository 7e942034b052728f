"""The main job: the RAND Health Insurance Experiment at its six real sites.

20,190 person-years of 5,912 people, medical and financial at once, in the public domain (Newhouse 1993).
The statsmodels package carries the file; nothing is downloaded.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from common.config import (
    Data,
    Federation,
    Privacy,
    SimulationConfig,
    Sites,
    Task,
    Training,
)
from common.errors import DataError
from common.schema import Schema, TableSchema

SCHEMA_FILE = Path(__file__).resolve().parents[1] / "common" / "schemas" / "randhie.toml"

USE_OF_CARE = (
    "other_visits",
    "outpatient_spending",
    "drug_spending",
    "inpatient_spending",
    "admissions",
    "psychotherapy_visits",
)


def config(seed: int) -> SimulationConfig:
    """Six sites, (epsilon = 3, delta = 1e-5), add/remove one person with all of their years."""
    return SimulationConfig(
        name="demo",
        seed=seed,
        data=Data(table="randhie.csv", schema=str(SCHEMA_FILE)),
        sites=Sites(count=6, split="column", column="site"),
        federation=Federation(threshold=4, collusion=1),
        privacy=Privacy(epsilon=3.0, delta=1e-5),
        training=Training(
            records_per_site=500,
            most_records_per_site=1500,
            schedule="local",
            rounds=3,
            generator_steps=5,
            sample_rate=0.06,
        ),
        evaluation=Task(target="physician_visits", above=0, exclude=USE_OF_CARE),
    )


def records() -> tuple[pd.DataFrame, TableSchema]:
    """The table with one row a person-year, and its schema.

    Columns are renamed, dummies become categories, and what the experiment's own file imputed with a
    site's mean (a fraction in a yes/no column) is missing again.
    """
    raw = pd.read_csv(_file())
    frame = pd.DataFrame(
        {
            "person": raw.zper,
            "site": raw.site,
            "year": raw.year,
            "sex": np.where(raw.female == 1, "female", "male"),
            "age": raw.xage.round(2),
            "race": _yes_no(raw.black, "black", "not black"),
            "income": raw.income.round(2),
            "education": raw.educdec.round(1),
            "coinsurance": raw.coins,
            "deductible_plan": np.where(raw.idp == 1, "yes", "no"),
            "physician_visits": raw.mdvis,
            "other_visits": raw.notmdvis,
            "outpatient_spending": raw.outpdol.round(2),
            "drug_spending": raw.drugdol.round(2),
            "inpatient_spending": raw.inpdol.round(2),
            "admissions": raw.totadm,
            "psychotherapy_visits": raw.mentvis,
            "family_size": raw.num,
            "mental_health_index": raw.mhi.round(1),
            "chronic_diseases": raw.disea.round(1),
            "physical_limitation": _yes_no(raw.physlm, "yes", "no"),
            "health": np.select(
                [raw.hlthp == 1, raw.hlthf == 1, raw.hlthg == 1],
                ["poor", "fair", "good"],
                "excellent",
            ),
        }
    )
    schema = Schema.load(SCHEMA_FILE)
    assert isinstance(schema, TableSchema)
    return frame, schema


def _yes_no(series: pd.Series, yes: str, no: str) -> pd.Series:
    return series.map({1: yes, 0: no})


def _file() -> Path:
    package = find_spec("statsmodels")
    for folder in (package.submodule_search_locations or []) if package else []:
        file = Path(folder) / "datasets" / "randhie" / "src" / "randhie.csv"
        if file.exists():
            return file
    raise DataError("the demo's records are not installed", hint="pip install statsmodels (it carries them)")
