"""One simulated run from a table to a release folder."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from common.arrays import Arrays
from common.config import SimulationConfig
from common.crypto import stopwatch
from common.earlier import Earlier
from common.errors import ConfigError, StorageError
from common.events import stage
from common.generator import ReleasedGenerator
from common.planning import make_plan, stand_in
from common.release_files import DESCRIPTION
from common.report import Costs
from common.schema import Schema
from common.simulation import engines
from common.simulation.carried import Before
from common.simulation.holdings import read_holdings
from common.simulation.prepare import Run, prepare
from common.simulation.report import table_quality

from .checkpoint import Checkpoint
from .recorded import with_its_end
from .release import Drawn, costs_of, write_release, write_report
from .run_folder import folder_of_simulation


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished simulation: where the release lies, its report, and an example of conditions."""

    folder: Path
    report: dict[str, Any]
    example: dict[str, str]


Data = pd.DataFrame | Arrays


def load_inputs(config: SimulationConfig, folder: Path) -> tuple[Data, Schema]:
    """The records and schema a configuration names, relative to ``folder``."""
    schema = Schema.load(folder / config.data.schema_file)
    return read_holdings(folder / config.data.table, schema, config.data.allow_identified), schema


def simulate(
    config: SimulationConfig,
    data: Data,
    schema: Schema,
    out: Path,
    resume: bool,
    *,
    earlier: Path | None = None,
    scored: bool = True,
) -> Outcome:
    """Run a federation over ``data`` and write the release to ``out``.

    A run folder beside it is made anew unless ``resume``; then what was finished is not repeated.
    earlier: a release to continue with ``data`` at the same sites; its run folder lies beside it
    scored: whether to compare synthetic images and signals with real ones, which takes a while
    """
    start = time.perf_counter()
    stopwatch.seconds.clear()
    folder = folder_of_simulation(out)
    stage("prepare", 0, 1, 0.0)
    before = None if earlier is None else continued(earlier, out)
    run = Run.open(folder, config) if resume else prepare(config, data, schema, folder, before)
    _check_resumed(run, before)
    with with_its_end(folder, run.plan, run.schema):
        engines.run(config.engine, folder, len(run.plan.federation.sites))
        state = Checkpoint.load_or_new(folder / "coordinator", run.plan.hash)
        stage("release", 0, 1, run.plan.privacy.epsilon)
        drawn = write_release(run.plan, run.schema, state, out)
        costs = _costs(config, state, start)
        report = write_report(run.plan, state, costs, _quality(drawn, run, config, scored), out)
        stage("release", 1, 1, report["epsilon"])
    example = {c.name: str(c.categories[-1]) for c in schema.conditions}
    return Outcome(out, report, example)


def prepared(
    config: SimulationConfig, data: Data, schema: Schema, out: Path, earlier: Path | None = None
) -> Run:
    """The run folder beside ``out``, not run. Raises StorageError if it is that of a finished release."""
    folder = folder_of_simulation(out)
    if folder.exists() and ((out / "report.json").exists() or (out / DESCRIPTION).exists()):
        raise StorageError(
            f"{folder} holds keys and ledgers of the release in {out}",
            hint="choose another --out; without --prepare-only release and run folder are made anew",
        )
    return prepare(config, data, schema, folder, None if earlier is None else continued(earlier, out))


def promised(config: SimulationConfig, schema: Schema, earlier: Path | None) -> float:
    """The epsilon that a run is planned for, everything that it continues included.

    Raises StorageError, and as ``make_plan``.
    """
    if earlier is None:
        return config.privacy.epsilon
    return make_plan(config, schema, stand_in(config), "promised", Earlier.load(earlier)).privacy.epsilon


def continued(release: Path, out: Path) -> Before:
    """The run to continue. Raises StorageError; ConfigError if ``out`` would overwrite it."""
    if out.resolve() == release.resolve():
        raise ConfigError(
            f"{out} is the release to continue, which stays as it is", hint="another folder with --out"
        )
    return Before.open(release, folder_of_simulation(release))


def _check_resumed(run: Run, before: Before | None) -> None:
    """Raise ConfigError if a run to resume continues another release than the one named."""
    continues = run.plan.continues
    if before is not None and (continues is None or continues.runs[-1].plan != before.earlier.plan):
        raise ConfigError(
            f"the run to resume does not continue {before.earlier.folder}", hint="start without --resume"
        )


def _quality(drawn: Drawn, run: Run, config: SimulationConfig, scored: bool) -> dict[str, Any]:
    """What the synthetic records score."""
    generator, records = drawn.generator, drawn.records
    if not run.plan.release.holdout:  # nobody to compare with
        return {}
    if isinstance(generator, ReleasedGenerator):
        assert isinstance(records, pd.DataFrame)
        return table_quality(run, records, generator.grouping, config.evaluation)
    from common.simulation.array_report import array_quality  # loads what only scores of arrays need

    assert isinstance(records, Arrays)
    return array_quality(run, records, generator.prior) if scored else {}


def _costs(config: SimulationConfig, state: Checkpoint, start: float) -> Costs:
    costs = costs_of(state, time.perf_counter() - start)
    if config.engine != "inproc":  # the sites' seconds pass in other processes
        return costs
    share = sum(stopwatch.seconds.values()) / costs.wall_seconds
    return replace(costs, encryption_seconds=dict(stopwatch.seconds), encryption_share=share)
