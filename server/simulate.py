"""One simulated run from a table to a release folder."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from common.config import SimulationConfig
from common.crypto import stopwatch
from common.events import emit
from common.generator import ReleasedGenerator
from common.schema import Schema
from common.simulation import engines
from common.simulation.prepare import Run, prepare
from common.simulation.report import Costs, build
from common.tables import read_table, write_table, write_whole

from .checkpoint import Checkpoint
from .release import released_generator, synthetic_records
from .rounds import released_grouping, released_moments


def run_folder(out: Path) -> Path:
    """Beside the release, not in it: it holds the sites' records and keys."""
    return out.with_name(out.name + ".run")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished simulation: where the release lies, its report, and an example of conditions."""

    folder: Path
    report: dict[str, Any]
    example: dict[str, str]


def load_inputs(config: SimulationConfig, folder: Path) -> tuple[pd.DataFrame, Schema]:
    """The table and schema a configuration names, relative to ``folder``."""
    schema = Schema.load(folder / config.data.schema_file)
    return read_table(folder / config.data.table, schema), schema


def simulate(
    config: SimulationConfig, frame: pd.DataFrame, schema: Schema, out: Path, resume: bool
) -> Outcome:
    """Run a federation over ``frame`` and write the release to ``out``.

    The run folder beside it is made anew unless ``resume``; then what was finished is not repeated.
    """
    start = time.perf_counter()
    stopwatch.seconds.clear()
    folder = run_folder(out)
    emit("prepare", 0, 1, 0.0)
    run = Run.open(folder, config) if resume else prepare(config, frame, schema, folder)
    engines.run(config.engine, folder, len(run.plan.federation.sites))
    state = Checkpoint.load_or_new(folder / "coordinator", run.plan.hash)
    emit("release", 0, 1, run.plan.privacy.epsilon)
    generator = _generator(run, state)
    synthetic = synthetic_records(generator, run.plan.seed)
    write_table(synthetic, out / "synthetic.csv")
    generator.save(out)
    report = build(run, synthetic, generator.grouping, config.evaluation, _costs(config, state, start))
    report["trouble"] = [asdict(one) for one in state.trouble]
    text = json.dumps(report, indent=2)
    write_whole(out / "report.json", lambda path: path.write_text(text, "utf-8"))
    emit("release", 1, 1, report["epsilon"])
    example = {c.name: str(c.categories[-1]) for c in schema.conditions}
    return Outcome(out, report, example)


def _generator(run: Run, state: Checkpoint) -> ReleasedGenerator:
    moments = released_moments(run.plan, run.schema, state)
    grouping = released_grouping(run.plan, run.schema, state)
    return released_generator(run.plan, run.schema, state, moments, grouping)


def _costs(config: SimulationConfig, state: Checkpoint, start: float) -> Costs:
    wall = time.perf_counter() - start
    here = config.engine == "inproc"  # with Ray the sites' seconds pass in other processes
    encryption = dict(stopwatch.seconds) if here else None
    return Costs(
        wall_seconds=wall,
        seconds=state.seconds,
        encryption_seconds=encryption,
        encryption_share=sum(stopwatch.seconds.values()) / wall if here else None,
        traffic=state.traffic,
        upload_ratio_float32=state.contribution_bytes / (4 * state.values_sent),
        attempts=state.attempts,
    )
