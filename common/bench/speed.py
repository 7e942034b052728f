"""Where time goes, each beside what it is measured against: a step of DP-SGD beside the same step without DP,
features, the fit, sampling, and the command line's own start.

Medians of repeats with their range, one thread unless OMP_NUM_THREADS says otherwise.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from ..columns import CategoryColumn
from ..config import Data, Federation, Privacy, SimulationConfig, Sites, Training
from ..contributions import array_features, family_of, histograms, layout_of, pairs
from ..launch import command
from ..modalities.layout import Layout
from ..models.encoding import record_tensor
from ..models.family import Entered
from ..plan import Plan
from ..planning import make_plan, stand_in
from ..records import Rows
from ..rehearsal import synthetic_rows
from ..schema import ArraySchema, Channel, ImageSchema, Schema, SignalSchema, TableSchema
from ..terminal import output
from ..versions import versions
from .made_up import fit_steps, some_grouping

_ADULT = Path(__file__).parents[1] / "schemas" / "adult.toml"
_ROWS = 10_000  # that features are summed over
_STEPS = 20  # of a fit, beside one of a single step


def measure(batches: tuple[int, ...], repeats: int, release: Path | None) -> dict[str, Any]:
    """Everything as JSON-ready content. batches: records in a step of D; release: one to sample from."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    plans = {name: (_plan(schema), schema) for name, schema in _schemas().items()}
    return {
        "d_step": [
            row
            for name, (plan, schema) in plans.items()
            for batch in batches
            for row in _steps(name, plan, schema, batch, repeats)
        ],
        "features": [_features(name, *found, repeats) for name, found in plans.items()],
        "fit_step": [_fit(name, *found, repeats) for name, found in plans.items()],
        "sampling": None if release is None else _sampling(release, repeats),
        "help_seconds": _spread([_timed(_help) for _ in range(repeats)]),
        "repeats": repeats,
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(), **versions()},
    }


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


def _steps(name: str, plan: Plan, schema: Schema, batch: int, repeats: int) -> list[dict[str, Any]]:
    """One step's gradient by each way, in turn, so that all see the same state of the machine."""
    entered, records = family_of(schema, plan).entered, _records(schema, batch)
    clipped = import_module("client.gradient").clipped_sum

    def ours() -> None:
        clipped(entered.double(), records.double(), 1.0)

    ways: dict[str, Callable[[], object]] = {
        "without DP, float32": lambda: _plain(entered.float(), records),
        "without DP, float64": lambda: _plain(entered.double(), records.double()),
        "ghost clipping, float64 (ours)": ours,
        "per-record hooks, float64": lambda: _hooks(entered.double(), records.double()),
        "functorch, float64": lambda: _functorch(entered.double(), records.double()),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(repeats + 1):  # the first warms up
        for way, work in ways.items():
            spent = _timed(work)
            if turn:
                times[way].append(spent)
    base = statistics.median(times["without DP, float32"])
    return [
        {"network": name, "batch": batch, "way": way, **_spread(spent), "ratio": _ratio(spent, base)}
        for way, spent in times.items()
    ]


def _records(schema: Schema, count: int) -> torch.Tensor:
    return record_tensor(_rows(schema, count), layout_of(schema))


def _rows(schema: Schema, count: int) -> Rows:
    """Made-up records as feature maps and networks take them."""
    rows = synthetic_rows(schema, count)
    if isinstance(schema, TableSchema):
        rows = Layout.of(schema).to_model(some_grouping(schema).to_groups(rows, schema))
    return rows


def _plain(entered: Entered, records: torch.Tensor) -> None:
    """Gradient of the mean loss."""
    loss = entered(records, entered.draws(records)).mean()
    torch.autograd.grad(loss, list(entered.parameters()))


def _hooks(entered: Entered, records: torch.Tensor) -> None:
    """Opacus' hooks with every record's gradient in memory."""
    wrapped = import_module("opacus.grad_sample").GradSampleModule(entered, loss_reduction="sum")
    wrapped(records.clone().requires_grad_(), entered.draws(records)).sum().backward()
    made = [getattr(parameter, "grad_sample").flatten(1) for parameter in entered.parameters()]  # noqa: B009
    norms = torch.cat([one.norm(dim=1, keepdim=True) for one in made], dim=1).norm(dim=1)
    weights = 1 / norms.clamp(min=1.0)
    _ = [weights @ one for one in made]
    wrapped.remove_hooks()
    entered.zero_grad()


def _functorch(entered: Entered, records: torch.Tensor) -> None:
    """vmap of grad, a few records at a time (``chunk_size``)."""
    weights = {name: parameter.detach() for name, parameter in entered.named_parameters()}

    def loss(weights: dict[str, torch.Tensor], record: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.func.functional_call(entered, weights, (record[None], drawn[None]))
        return found.sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0), chunk_size=64)
    made = [one.flatten(1) for one in each(weights, records, entered.draws(records)).values()]
    norms = torch.cat([one.norm(dim=1, keepdim=True) for one in made], dim=1).norm(dim=1)
    _ = [(1 / norms.clamp(min=1.0)) @ one for one in made]


def _features(name: str, plan: Plan, schema: Schema, repeats: int) -> dict[str, Any]:
    """Records a second through the bounded feature maps of the measure phase."""
    fine, rows, ones = synthetic_rows(schema, _ROWS), _rows(schema, _ROWS), np.ones(_ROWS)

    def work() -> None:
        if isinstance(schema, TableSchema):
            histograms(schema).sum(fine, ones)
            pairs(schema, plan).sum(rows, ones)
        else:
            assert isinstance(schema, ArraySchema)
            array_features(schema, plan).sum(rows, ones)

    work()
    times = [_timed(work) for _ in range(repeats)]
    return {"network": name, **_spread(times), "records_per_second": round(_ROWS / statistics.median(times))}


def _fit(name: str, plan: Plan, schema: Schema, repeats: int) -> dict[str, Any]:
    """A step of the fit: so many together, without what a fit does once."""
    one, many = fit_steps(plan, schema, 1), fit_steps(plan, schema, 1 + _STEPS)
    one()
    times = [max(0.0, _timed(many) - _timed(one)) / _STEPS for _ in range(repeats)]
    return {"network": name, **_spread(times), "steps": plan.measure.fit_steps}


def _sampling(release: Path, repeats: int) -> dict[str, Any]:
    """Records a second of processor time, from ``generator.onnx``; no file is written."""
    session, draw = import_module("common.sampler.session"), import_module("common.sampler.sampling")
    found, count = session.load(release), 200_000
    if not isinstance(found, session.TableFile):
        arrays = import_module("common.sampler.arrays")
        count = 5_000

        def work(seed: int) -> None:
            arrays.sample_arrays(found.kind, found.network, count, seed=seed)
    else:

        def work(seed: int) -> None:
            draw.sample(found.table, found.network, count, seed=seed)

    times = []
    for seed in range(repeats):
        start = time.process_time()
        work(seed)
        times.append(time.process_time() - start)
    return {**_spread(times), "records_per_second": round(count / statistics.median(times))}


def _help() -> None:
    subprocess.run([*command(), "--help"], capture_output=True, check=True)  # noqa: S603 (no shell)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _spread(times: list[float]) -> dict[str, float]:
    return {
        "seconds": round(statistics.median(times), 6),
        "fastest": round(min(times), 6),
        "slowest": round(max(times), 6),
    }


def _ratio(times: list[float], base: float) -> float:
    return round(statistics.median(times) / base, 2)


def print_table(result: dict[str, Any]) -> None:
    """For people."""
    table = Table(box=None, pad_edge=False)
    for heading in ("gradient of a step of D", "batch", "way", "ms", "range", "ratio"):
        table.add_column(heading, justify="right" if heading in ("batch", "ms", "ratio") else "left")
    for row in result["d_step"]:
        spread = f"{1e3 * row['fastest']:.1f} - {1e3 * row['slowest']:.1f}"
        cells = (row["network"], str(row["batch"]), row["way"], f"{1e3 * row['seconds']:.1f}", spread)
        table.add_row(*cells, f"{row['ratio']:.2f}")
    output.print(table)
    for row in result["features"]:
        output.print(
            f"features, {row['network']}: {row['records_per_second']:,} records a second", highlight=False
        )
    for row in result["fit_step"]:
        whole = row["seconds"] * row["steps"]
        output.print(
            f"fit, {row['network']}: {1e3 * row['seconds']:.1f} ms a step, {whole:.0f} s in all",
            highlight=False,
        )
    if (sampling := result["sampling"]) is not None:
        output.print(
            f"sampling: {sampling['records_per_second']:,} records a processor second", highlight=False
        )
    output.print(f"fedcgan --help: {result['help_seconds']['seconds']:.2f} s", highlight=False)
