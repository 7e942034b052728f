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
from rich.table import Table

from ..config import Data, Federation, Privacy, SimulationConfig, Sites, Training
from ..errors import ConfigError
from ..evaluation.benchmark import Coder, scores, shuffled_columns
from ..schema import Schema
from ..simulation.split import assign, hold_out
from ..tables import read_table
from ..terminal import output
from ..versions import versions

_HOLDOUT = 1e-4  # a simulation keeps somebody out; the benchmark has a test table of its own
_MOST_UNEVEN = 20  # times the smallest site that the largest may hold


def measure(
    train: Path,
    test: Path,
    schema_file: Path,
    label: str,
    epsilon: float,
    delta: float,
    sites: int,
    skew: float | None,
    rounds: int,
    seed: int,
) -> dict[str, Any]:
    """One run of schedule ``local``: tvd1, tvd2, tvd3, auc_boosting, auc_logistic, c2st, seconds, bytes.

    skew: Dirichlet concentration of the label over sites, None for the same mixture everywhere.
    Raises ConfigError if the label is no column, or the split is so uneven that no plan fits all sites.
    """
    schema = Schema.load(schema_file)
    if label not in schema.names:
        raise ConfigError(f"the schema has no column {label!r}", hint="columns: " + ", ".join(schema.names))
    frames = [read_table(path, schema) for path in (train, test)]
    config = _config(frames[0], schema, label, epsilon, delta, sites, skew, rounds, seed)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        simulate = import_module("server.simulate").simulate
        report = simulate(config, frames[0], schema, Path(folder) / "release", False).report
        synthetic = read_table(Path(folder) / "release" / "synthetic.csv", schema)
    seconds = time.perf_counter() - start
    coder = Coder(frames[0], [frames[1], synthetic], label)
    real, held_out, made = (coder(table[schema.names]) for table in (*frames, synthetic))
    up = [traffic["up"] for traffic in report["bytes"].values()]
    return {
        **scores(real, held_out, made, coder.sizes),
        "seconds": round(seconds, 1),
        "upload_bytes_per_site": max(up),
        "epsilon": report["epsilon"],
        "delta": delta,
        "unit": report["unit"],
        "schedule": "local",
        "sites": sites,
        "skew": skew,
        "rounds": rounds,
        "seed": seed,
        "records": {"train": len(real), "test": len(held_out), "synthetic": len(made)},
        "baselines": {
            "real": scores(real, held_out, real, coder.sizes),
            "independent_columns": scores(real, held_out, shuffled_columns(real), coder.sizes),
        },
        "machine": {"cores": os.cpu_count(), **versions()},
    }


def _config(
    frame: pd.DataFrame,
    schema: Schema,
    label: str,
    epsilon: float,
    delta: float,
    count: int,
    skew: float | None,
    rounds: int,
    seed: int,
) -> SimulationConfig:
    split = {"split": "iid"} if skew is None else {"split": "dirichlet", "column": label, "alpha": skew}
    sites = Sites.model_validate({"count": count, **split})
    sizes = _site_sizes(frame, schema, sites, seed)
    if sizes.max() > _MOST_UNEVEN * sizes.min() or sizes.min() < 50:
        raise ConfigError(
            f"with seed {seed} sites hold {sizes.min()} to {sizes.max()} records, too uneven for one plan",
            hint="a larger --skew, fewer --sites, or another --seed",
        )
    return SimulationConfig(
        name="bench",
        seed=seed,
        data=Data(table="train", schema="schema", holdout=_HOLDOUT),
        sites=sites,
        federation=Federation(threshold=min(count, 16) // 2 + 1),
        privacy=Privacy(epsilon=epsilon, delta=delta),
        training=Training(records_per_site=int(sizes.min()), rounds=rounds),
    )


def _site_sizes(frame: pd.DataFrame, schema: Schema, sites: Sites, seed: int) -> np.ndarray:
    """As the simulation will split them: a benchmark may know, a federation declares a bound."""
    random = np.random.default_rng(seed)
    held_out = hold_out(frame, schema.subject, _HOLDOUT, random)
    _, numbers = assign(frame, schema.subject, sites, random)
    return np.bincount(numbers[~held_out], minlength=sites.count)


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
