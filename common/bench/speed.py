"""Where time goes, each beside what it is measured against: a step of DP-SGD beside the same step without DP,
features, the fit, sampling, whole runs by engine, encryption's share, and the command line's own start.

Medians of repeats with their range, one thread unless OMP_NUM_THREADS says otherwise. Seconds are the
processor's, but for what other processes do: whole runs and the start.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from ..columns import CategoryColumn
from ..config import Data, Federation, Privacy, SimulationConfig, Sites, Training
from ..contributions import array_features, histograms, pairs
from ..launch import command
from ..plan import Plan
from ..planning import make_plan, stand_in
from ..rehearsal import synthetic_rows
from ..schema import ArraySchema, Channel, ImageSchema, Schema, SignalSchema, TableSchema
from ..terminal import output
from .dp_steps import made_up_rows, steps
from .engines import compare, small_federation
from .made_up import fit_steps
from .timed import spread, timed, worked

_ADULT = Path(__file__).parents[1] / "schemas" / "adult.toml"
_ROWS = 10_000  # that features are summed over, a tenth of images and signals
_STEPS = 10  # of a fit, beside one of a single step
_SAMPLED = {"table": 200_000, "array": 5_000}  # records


def measure(batches: tuple[int, ...], repeats: int, release: Path | None, engines: bool) -> dict[str, Any]:
    """Everything as JSON-ready content.

    batches: records in a step of D; release: one to sample from, that of a small run if None; engines:
    whether to run whole small federations, which takes minutes
    """
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    plans = {name: (_plan(schema), schema) for name, schema in _schemas().items()}
    result = {
        "d_step": [
            row
            for name, (plan, schema) in plans.items()
            for batch in batches
            for row in steps(name, plan, schema, batch, repeats)
        ],
        "features": [_features(name, *found, repeats) for name, found in plans.items()],
        "fit_step": [_fit(name, *found, repeats) for name, found in plans.items()],
        "help": spread([timed(_help) for _ in range(repeats)]),
        "runs": None,
        "sampling": None if release is None else _sampling(release, repeats),
        "repeats": repeats,
        "threads": torch.get_num_threads(),
    }
    if engines:
        adult = Schema.load(_ADULT)
        assert isinstance(adult, TableSchema)
        with small_federation(adult) as folder:
            result["runs"] = compare(folder, repeats)
            result["sampling"] = result["sampling"] or _sampling(folder / "release", repeats)
    return result


def _schemas() -> Mapping[str, Schema]:
    return {
        "table, 15 columns": Schema.load(_ADULT),
        "image, 28 x 28": ImageSchema(
            kind="image",
            name="bench",
            label=CategoryColumn(name="label", categories=tuple(range(10))),
            size=28,
            channels=1,
        ),
        "signal, 128": SignalSchema(
            kind="signal",
            name="bench",
            label=CategoryColumn(name="label", categories=tuple(range(4))),
            sampling_rate=180.0,
            length=128,
            channels=(Channel(name="lead", unit="mV", bounds=(-3, 3)),),
        ),
    }


def _plan(schema: Schema) -> Plan:
    """A usual plan of schedule ``every-step``."""
    config = SimulationConfig(
        name="speed",
        data=Data(table="none", schema="none"),
        sites=Sites(count=5),
        federation=Federation(threshold=4),
        privacy=Privacy(epsilon=3.0, delta=1e-5),
        training=Training(records_per_site=5000, schedule="every-step", rounds=100, sample_rate=0.02),
    )
    return make_plan(config, schema, stand_in(config), "speed")


def _features(name: str, plan: Plan, schema: Schema, repeats: int) -> dict[str, Any]:
    """Records a second through the bounded feature maps of the measure phase."""
    count = _ROWS if isinstance(schema, TableSchema) else _ROWS // 10
    fine, rows, ones = synthetic_rows(schema, count), made_up_rows(schema, count), np.ones(count)

    def work() -> None:
        if isinstance(schema, TableSchema):
            histograms(schema).sum(fine, ones)
            pairs(schema, plan).sum(rows, ones)
        else:
            assert isinstance(schema, ArraySchema)
            array_features(schema, plan).sum(rows, ones)

    work()
    times = [worked(work) for _ in range(repeats)]
    return {"network": name, **spread(times), "records_per_second": round(count / statistics.median(times))}


def _fit(name: str, plan: Plan, schema: Schema, repeats: int) -> dict[str, Any]:
    """A step of the fit: so many together, without what a fit does once."""
    one, many = fit_steps(plan, schema, 1), fit_steps(plan, schema, 1 + _STEPS)
    one()
    times = [max(0.0, worked(many) - worked(one)) / _STEPS for _ in range(repeats)]
    return {"network": name, **spread(times), "steps": plan.measure.fit_steps}


def _sampling(release: Path, repeats: int) -> dict[str, Any]:
    """Records a second of processor time, from ``generator.onnx``; no file is written."""
    session, draw = import_module("common.sampler.session"), import_module("common.sampler.sampling")
    found = session.load(release)
    kind = "table" if isinstance(found, session.TableFile) else "array"
    count = _SAMPLED[kind]
    if kind == "array":
        arrays = import_module("common.sampler.arrays")

        def work(seed: int) -> None:
            arrays.sample_arrays(found.kind, found.network, count, seed=seed)
    else:

        def work(seed: int) -> None:
            draw.sample(found.table, found.network, count, seed=seed)

    times = [worked(partial(work, seed)) for seed in range(repeats)]
    return {**spread(times), "records": count, "records_per_second": round(count / statistics.median(times))}


def _help() -> None:
    subprocess.run([*command(), "--help"], capture_output=True, check=True)  # noqa: S603 (no shell)


def print_table(result: dict[str, Any]) -> None:
    """For people."""
    table = Table(box=None, pad_edge=False)
    for heading in ("gradient of a step of D", "batch", "way", "ms", "range", "ratio", "range of ratios"):
        table.add_column(heading, justify="right" if heading in ("batch", "ms", "ratio") else "left")
    for row in result["d_step"]:
        times = f"{1e3 * row['fastest']:.1f} - {1e3 * row['slowest']:.1f}"
        ratios = f"{row['ratios'][1]:.2f} - {row['ratios'][2]:.2f}"
        cells = (row["network"], str(row["batch"]), row["way"], f"{1e3 * row['seconds']:.1f}", times)
        table.add_row(*cells, f"{row['ratio']:.2f}", ratios)
    output.print(table)
    for line in _lines(result):
        output.print(line, highlight=False)


def _lines(result: dict[str, Any]) -> list[str]:
    lines = [
        f"features, {row['network']}: {row['records_per_second']:,} records a second"
        for row in result["features"]
    ]
    for row in result["fit_step"]:
        whole = row["seconds"] * row["steps"]
        lines.append(f"fit, {row['network']}: {1e3 * row['seconds']:.1f} ms a step, {whole:.0f} s in all")
    if (sampling := result["sampling"]) is not None:
        lines.append(f"sampling: {sampling['records_per_second']:,} records a processor second")
    if (runs := result["runs"]) is not None:
        for engine, row in runs["engines"].items():
            spent = row.get("skipped") or f"{row['seconds']:.1f} s"
            lines.append(f"a run of {runs['sites']} sites, engine {engine}: {spent}")
        lines.append(f"encryption: {100 * runs['encryption_share'][0]:.1f} % of such a run")
    return [*lines, f"fedcgan --help: {result['help']['seconds']:.2f} s"]
