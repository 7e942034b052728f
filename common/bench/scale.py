"""What a simulation costs as the number of sites grows: seconds by phase, memory, bytes a site, epsilon.

The run is that of ``fedcgan simulate`` in one process, which this one starts: its peak is of nothing else.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tomli_w
from rich.table import Table

from ..columns import CategoryColumn, NumberColumn
from ..config import Data, Federation, Model, Privacy, Release, SimulationConfig, Sites, Training
from ..crypto.parameters import MOST_HOLDERS
from ..errors import FedcganError, LedgerError
from ..modalities.tabular import decode
from ..plan import Plan
from ..privacy.accounting import epsilon, rounded_up
from ..privacy.ledger import Ledger
from ..rehearsal import synthetic_rows
from ..schema import TableSchema
from ..tables import write_table
from ..terminal import output
from .alone import run_alone

SCHEMA = TableSchema(
    name="scale",
    columns=(
        NumberColumn(name="age", bounds=(0, 100), decimals=0, cuts=(20, 40, 60, 80), unit="years"),
        NumberColumn(name="cost", bounds=(0, 50_000), decimals=2, cuts=(100, 1000, 10_000), scale="log"),
        CategoryColumn(name="smoker", categories=("no", "yes")),
        CategoryColumn(name="grade", categories=(1, 2, 3), ordered=True),
        CategoryColumn(name="diagnosis", categories=("none", "mild", "severe"), condition=True),
        CategoryColumn(name="sex", categories=("female", "male"), condition=True),
    ),
)

RECORDS = 120
"""Of a site, on average."""

Schedule = Literal["moments", "every-step", "local"]

_START = "from common.launch import main; raise SystemExit(main())"
_ROUNDS: dict[Schedule, int] = {"moments": 0, "every-step": 3, "local": 1}
_HOLDOUT = 0.05
_LEAST = 0.6  # of RECORDS, that every site holds: records are dealt at random


@dataclass(frozen=True, slots=True)
class _Finished:
    """A simulation that another process ran. peak_bytes: the most memory that it held at once."""

    report: dict[str, Any]
    seconds: float
    peak_bytes: int


def measure(
    sites: int, schedule: Schedule, *, schema: TableSchema = SCHEMA, records: int = RECORDS
) -> dict[str, Any]:
    """Figures of one simulation as JSON-ready content. Raises FedcganError if it is refused.

    records: of a site, on average
    """
    with tempfile.TemporaryDirectory(prefix="fedcgan-scale-") as folder:
        return measure_in(Path(folder), sites, schedule, schema=schema, records=records)


def measure_in(
    folder: Path, sites: int, schedule: Schedule, *, schema: TableSchema = SCHEMA, records: int = RECORDS
) -> dict[str, Any]:
    """The same in an empty folder, in which the run's own folder stays."""
    load = os.getloadavg()
    _write_inputs(config(sites, schedule, records), schema, records, folder)
    done = simulated(folder)
    ledgers = checked_ledgers(run_of(folder), done.report["epsilon"])
    seconds = done.report["seconds"]
    wall = done.report["wall_seconds"]
    return {
        "sites": sites,
        "schedule": schedule,
        "rounds": done.report["rounds"],
        "records_per_site": records,
        "key_holders": done.report["key_holders"],
        "seconds": {
            "start": round(done.seconds - wall, 2),
            **seconds,
            "prepare_and_release": round(wall - sum(seconds.values()), 2),
            "whole": round(done.seconds, 2),
        },
        "encryption_seconds": done.report["encryption_seconds"],
        "peak_bytes": done.peak_bytes,
        "bytes": _traffic(done.report),
        "epsilon": done.report["epsilon"],
        "ledgers": ledgers,
        "trouble": len(done.report["trouble"]),
        "load": {"before": round(load[0], 2), "after": round(os.getloadavg()[0], 2)},
        "processors": os.cpu_count(),
        "plan": done.report["plan"],
    }


def config(sites: int, schedule: Schedule, records: int = RECORDS) -> SimulationConfig:
    """A federation of ``sites``, small records and small networks: what grows is the number of sites."""
    holders = min(sites, MOST_HOLDERS)
    return SimulationConfig(
        name="scale",
        data=Data(table="scale.parquet", schema="scale.toml"),
        release=Release(holdout=_HOLDOUT, evaluate_share=0.0),
        sites=Sites(count=sites),
        federation=Federation(threshold=holders // 2 + 1),
        privacy=Privacy(epsilon=3.0, delta=1e-5),
        model=Model(latent=16, generator_hidden=(32,), discriminator_hidden=(32,)),
        training=Training(
            records_per_site=round(_LEAST * records),
            schedule=schedule,
            rounds=_ROUNDS[schedule],
            sample_rate=0.1,
            fit_steps=100,
        ),
    )


def _write_inputs(settings: SimulationConfig, schema: TableSchema, records: int, folder: Path) -> None:
    """Configuration, schema and a table of made-up records, as a researcher would have them."""
    codes = synthetic_rows(schema, round(settings.sites.count * records / (1 - _HOLDOUT)))
    write_table(decode(codes, schema, np.random.default_rng(0)), folder / settings.data.table)
    (folder / settings.data.schema_file).write_text(schema.to_toml(), "utf-8")
    content = settings.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    (folder / "scale-run.toml").write_text(tomli_w.dumps(content), "utf-8")


def run_of(folder: Path) -> Path:
    """Where ``fedcgan simulate`` leaves the sites' own folders."""
    return folder / "release.run"


def simulated(folder: Path) -> _Finished:
    """Run ``fedcgan simulate`` to its end. Raises FedcganError with the words of its own error."""
    arguments = ["simulate", "scale-run.toml", "--out", "release", "--json"]
    done = run_alone(_START, arguments, folder, folder / "report.json", folder / "log.txt")
    envelope = _envelope(folder)
    if done.code != 0:
        error = envelope["error"]
        raise FedcganError(f"{error['code']}: {error['message']}", hint=error["hint"])
    return _Finished(envelope["data"], done.seconds, done.peak_bytes)


def _envelope(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    except ValueError as error:
        last = (folder / "log.txt").read_text("utf-8", "replace")[-500:]
        raise FedcganError(f"the simulation ended without a report: {last}") from error
    return found


def checked_ledgers(run: Path, reported: float) -> dict[str, Any]:
    """Every site's ledger against the plan: how many there are, and what stands in each.

    Raises LedgerError for one that is damaged, or that charged anything but the steps of the plan, once.
    """
    plan = Plan.from_json((run / "plan.json").read_bytes())
    for name in plan.federation.names:
        site = run / "sites" / name
        dataset = tomllib.loads((site / "policy.toml").read_text("utf-8"))["dataset"]
        ledger = Ledger(site / "ledger.jsonl", dataset)
        charges = [(charge.step, charge.mechanism) for charge in ledger.entries()]
        answered = [answer.step for answer in ledger.answers()]
        if charges != list(plan.steps.items()) or answered != list(plan.steps):
            raise LedgerError(f"the ledger of {name} is not that of the plan's steps, each charged once")
    spent = rounded_up(epsilon(plan.mechanisms, plan.privacy.delta))
    if spent != reported:
        raise LedgerError(f"ledgers add up to epsilon {spent}, the report says {reported}")
    return {"checked": len(plan.federation.names), "charges": len(plan.steps), "epsilon": spent}


def _traffic(report: dict[str, Any]) -> dict[str, int]:
    """Medians over sites that hold a share of the key, and over those that hold none."""
    holders = set(report["sites"][: report["key_holders"]])
    found = {}
    for who, chosen in (("holder", True), ("other", False)):
        for way in ("up", "down"):
            counts = [one[way] for site, one in report["bytes"].items() if (site in holders) == chosen]
            found[f"{who}_{way}"] = round(statistics.median(counts)) if counts else 0
    return found


def print_table(result: dict[str, Any]) -> None:
    """For people."""
    table = Table(box=None, pad_edge=False)
    for heading in (f"{result['sites']} sites, {result['schedule']}", "", ""):
        table.add_column(heading)
    for phase, seconds in result["seconds"].items():
        table.add_row(phase.replace("_", " "), f"{seconds:.1f}", "s")
    table.add_row("peak memory", f"{result['peak_bytes'] / 2**20:.0f}", "MiB, all sites in one process")
    for who, count in result["bytes"].items():
        table.add_row(who.replace("_", " "), f"{count / 2**20:.2f}", "MiB a site")
    table.add_row("epsilon", f"{result['epsilon']:.4f}", f"in each of {result['ledgers']['checked']} ledgers")
    table.add_row("load", f"{result['load']['before']:.1f}", f"before, {result['processors']} processors")
    output.print(table)
