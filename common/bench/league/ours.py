"""Our own runs of the league, in a process of their own as every system: ``python -c ... FOLDER``.

It finds task.json, train.csv and schema.toml in the folder, and leaves synthetic.csv and notes.json there.
"""

from __future__ import annotations

import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...columns import NumberColumn
from ...config import SimulationConfig
from ...evaluation.benchmark import QUANTILES
from ...generator import ReleasedGenerator
from ...launch import APPLICATION
from ...planning import make_plan, stand_in
from ...schema import Schema, TableSchema
from ...tables import read_table, write_table
from ...versions import versions
from ..central import synthesise
from ..quality import configuration, sites_of


def command(python: str, folder: Path) -> tuple[str, ...]:
    """The command that plays one of ours in ``folder``."""
    start = (
        f"import sys; sys.path.insert(0, {str(APPLICATION)!r}); from common.bench.league.ours import play; "
    )
    return (python, "-I", "-c", start + "play(sys.argv[1])", str(folder))


def play(where: str) -> None:
    """Run what the folder's task.json asks for. Raises typed errors."""
    folder = Path(where)
    task = json.loads((folder / "task.json").read_text("utf-8"))
    schema = Schema.load(folder / "schema.toml")
    assert isinstance(schema, TableSchema)
    frame = read_table(folder / "train.csv", schema)
    if task["system"].endswith("-same-bins"):
        schema = with_quantiles(schema, frame)
    config = configuration(
        frame,
        schema,
        sites_of(task["sites"], task["label"], task["skew"]),
        task["epsilon"],
        task["delta"],
        "moments",
        None,
        task["seed"],
    )
    play_one = pooled if task["system"].startswith("fedcgan-pooled") else federated
    drawn, notes = play_one(config, frame, schema, task["records"])
    rows = drawn.sample(n=task["records"], random_state=task["seed"])
    write_table(rows, folder / "synthetic.csv")
    (folder / "notes.json").write_text(json.dumps({"versions": versions(), "notes": notes}), "utf-8")


def with_quantiles(schema: TableSchema, frame: pd.DataFrame) -> TableSchema:
    """The schema with numbers cut where the scores cut them: at 20 quantiles of the training table.

    What a federation would not know; peers are told it, outside their accounting.
    """
    columns = []
    for column in schema.columns:
        if isinstance(column, NumberColumn):
            cuts = np.quantile(frame[column.name].dropna(), np.linspace(0, 1, QUANTILES + 1)[1:-1])
            scale = 10.0**column.decimals  # a value is at or above a cut if it is so of the next step
            steps = np.unique(np.ceil(cuts * scale - 1e-9)) / scale
            inside = tuple(float(cut) for cut in steps if column.bounds[0] < cut < column.bounds[1])
            if inside:
                column = column.model_copy(update={"cuts": inside, "bins": None, "atoms": ()})  # noqa: PLW2901
        columns.append(column)
    return TableSchema.model_validate(schema.model_copy(update={"columns": tuple(columns)}).model_dump())


def federated(
    config: SimulationConfig, frame: pd.DataFrame, schema: TableSchema, records: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Records that a simulated federation made, and notes of what it spent and sent. Raises typed errors."""
    simulate = import_module("server.simulate").simulate
    with tempfile.TemporaryDirectory() as name:
        release = Path(name) / "release"
        report = simulate(config, frame, schema, release, False).report
        generator = ReleasedGenerator.load(release)
    up = [traffic["up"] for traffic in report["bytes"].values()]
    notes = {
        "epsilon": report["epsilon"],
        "unit": report["unit"],
        "epsilon_views": report["epsilon_views"],
        "upload_bytes_per_site": max(up),
        "sites": config.sites.count,
    }
    return generator.sample(records, {}, config.seed), notes


def pooled(
    config: SimulationConfig, frame: pd.DataFrame, schema: TableSchema, records: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The same with one curator and no adversarial phase: at least so many records. Raises typed errors."""
    plan = make_plan(config, schema, stand_in(config), config.name)
    notes = {"epsilon": plan.privacy.epsilon, "unit": plan.privacy.unit}
    return synthesise(frame, schema, plan, records), notes
