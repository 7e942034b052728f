"""Quality of a federated run on one table, beside what real and independent columns score in the same run."""

from __future__ import annotations

import os
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError
from rich.table import Table

from ..config import Data, Federation, Privacy, Release, SimulationConfig, Sites, Training
from ..errors import ConfigError
from ..evaluation.benchmark import Coder, scores, shuffled_columns
from ..schema import Schema, TableSchema
from ..simulation.prepare import Run
from ..simulation.split import assign
from ..tables import read_table
from ..terminal import output
from ..toml_file import first_problem
from ..versions import versions
from .central import synthesise

ROUNDS = {"moments": 0, "every-step": 200, "local": 5}
"""Adversarial rounds, or steps, that a schedule has unless asked for others."""


def measure(
    train: Path,
    test: Path,
    schema_file: Path,
    label: str,
    epsilon: float,
    delta: float,
    sites: int,
    skew: float | None,
    schedule: str,
    rounds: int | None,
    seed: int,
    central: bool,
) -> dict[str, Any]:
    """One run: tvd1, tvd2, tvd3, auc_boosting, auc_logistic, c2st, seconds, bytes.

    skew: Dirichlet concentration of the label over sites, None for the same mixture everywhere.
    rounds: adversarial rounds or steps; a default for each schedule if None
    Every site takes part in every sum, and one of them may collude with the coordinator (with schedule
    ``local``, all but one). central: whether to score the same recipe on the pooled records, too
    Raises ConfigError if the label is no column, or a site got no record.
    """
    schema = Schema.load(schema_file)
    if not isinstance(schema, TableSchema):
        raise ConfigError(f"{schema_file} is not of a table", hint="--modality image or signal")
    if label not in schema.names:
        raise ConfigError(f"the schema has no column {label!r}", hint="columns: " + ", ".join(schema.names))
    frames = [read_table(path, schema) for path in (train, test)]
    dealt = sites_of(sites, label, skew)
    config = configuration(frames[0], schema, dealt, epsilon, delta, schedule, rounds, seed)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        simulate = import_module("server.simulate").simulate
        report = simulate(config, frames[0], schema, Path(folder) / "release", False).report
        synthetic = read_table(Path(folder) / "release" / "synthetic.csv", schema)
        plan = Run.open(Path(folder) / "release.run", config).plan
    seconds = time.perf_counter() - start
    pooled = [synthesise(frames[0], schema, plan)] if central else []
    coder = Coder(frames[0], [frames[1], synthetic, *pooled], label)
    real, held_out, made = (coder(table[schema.names]) for table in (*frames, synthetic))
    beside = {"central": scores(real, held_out, coder(pooled[0]), coder.sizes)} if central else {}
    up = [traffic["up"] for traffic in report["bytes"].values()]
    return {
        **scores(real, held_out, made, coder.sizes),
        "seconds": round(seconds, 1),
        "upload_bytes_per_site": max(up),
        "epsilon": report["epsilon"],
        "delta": delta,
        "unit": report["unit"],
        "epsilon_views": report["epsilon_views"],
        "schedule": schedule,
        "sites": sites,
        "skew": skew,
        "rounds": config.training.rounds,
        "seed": seed,
        "records": {"train": len(real), "test": len(held_out), "synthetic": len(made)},
        "baselines": {
            "real": scores(real, held_out, real, coder.sizes),
            "independent_columns": scores(real, held_out, shuffled_columns(real), coder.sizes),
            **beside,
        },
        "machine": {"cores": os.cpu_count(), **versions()},
    }


def sites_of(count: int, label: str, skew: float | None, whole: bool = False) -> Sites:
    """So many sites, and how the label's classes come to them.

    skew: Dirichlet concentration, None for the same mixture everywhere; whole: each site has one class only
    Raises ConfigError for fewer than 3 sites.
    """
    split: dict[str, Any] = {"split": "iid"}
    if whole:
        split = {"split": "class", "column": label}
    elif skew is not None:
        split = {"split": "dirichlet", "column": label, "alpha": skew}
    try:
        return Sites.model_validate({"count": count, **split})
    except ValidationError as error:
        raise ConfigError(
            f"{count} sites make no federation: {first_problem(error)}",
            hint="of a sum of two, each site knows the other's part; a federation has 3 sites or more",
        ) from error


def configuration(
    frame: pd.DataFrame,
    schema: TableSchema,
    sites: Sites,
    epsilon: float,
    delta: float,
    schedule: str,
    rounds: int | None,
    seed: int,
) -> SimulationConfig:
    """Of a federation that trains on all of ``frame``; arguments as of ``measure``.

    Raises ConfigError if a site got no record.
    """
    training = {"schedule": schedule, "rounds": ROUNDS[schedule] if rounds is None else rounds}
    count, sizes = sites.count, site_sizes(frame, schema, sites, seed)
    if sizes.min() == 0:
        raise ConfigError(
            f"with seed {seed} a site holds no record",
            hint="a larger --skew, fewer --sites, or another --seed",
        )
    return SimulationConfig(
        name="bench",
        seed=seed,
        data=Data(table="train", schema="schema"),
        release=Release(holdout=0.0, evaluate_share=0.0),  # it has a test table of its own
        sites=sites,
        federation=Federation(threshold=2 * min(count, 16) // 3 + 1, min_contributors=count),
        privacy=Privacy(epsilon=epsilon, delta=delta),
        training=Training.model_validate(
            {
                "records_per_site": int(sizes.min()),
                "most_records_per_site": int(sizes.max()),
                **training,
            }
        ),
    )


def site_sizes(frame: pd.DataFrame, schema: TableSchema, sites: Sites, seed: int) -> np.ndarray:
    """Units of each site, as the simulation will split them: a federation only declares bounds."""
    random = np.random.default_rng(seed)
    _, numbers = assign(frame, schema.subject, sites, random)
    units = frame[schema.subject] if schema.subject else pd.Series(np.arange(len(frame)))
    mine = pd.DataFrame({"site": numbers, "unit": units.to_numpy()})
    return np.bincount(mine.drop_duplicates()["site"], minlength=sites.count)


def print_table(result: dict[str, Any]) -> None:
    """The figures beside both baselines."""
    table = Table(box=None, pad_edge=False)
    names = ("tvd1", "tvd2", "tvd3", "auc_boosting", "auc_logistic", "c2st")
    for heading in ("", *names):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = {f"federated, epsilon {result['epsilon']:g}": result, **result["baselines"]}
    for name, row in rows.items():
        table.add_row(name.replace("_", " "), *(f"{row[key]:.4f}" for key in names))
    output.print(table)
    output.print(
        f"{result['seconds']:.0f} s, {result['upload_bytes_per_site'] / 1e6:.1f} MB a site; {result['unit']}",
        highlight=False,
    )
