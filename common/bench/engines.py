"""A small federation's whole run in each engine: in one process, and on Ray as Flower's simulations run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from ..config import Data, Federation, Privacy, SimulationConfig, Sites, Training
from ..errors import FedcganError
from ..launch import command
from ..modalities.tabular import decode
from ..rehearsal import synthetic_rows
from ..schema import TableSchema
from ..tables import write_table
from .timed import spread, timed

SITES, RECORDS = 5, 400
"""Sites, and made-up records of each; networks are the usual ones, the fit is short."""

_FIT_STEPS = 50


@contextmanager
def small_federation(schema: TableSchema) -> Iterator[Path]:
    """A folder with what ``fedcgan simulate`` needs; releases lie in it, too, until the end."""
    settings = SimulationConfig(
        name="engines",
        data=Data(table="records.parquet", schema="schema.toml"),
        sites=Sites(count=SITES),
        federation=Federation(threshold=4),
        privacy=Privacy(epsilon=3.0, delta=1e-5),
        training=Training(records_per_site=RECORDS * 3 // 5, fit_steps=_FIT_STEPS),
    )
    with tempfile.TemporaryDirectory(prefix="fedcgan-engines-") as name:
        folder = Path(name)
        codes = synthetic_rows(schema, SITES * RECORDS)
        write_table(decode(codes, schema, np.random.default_rng(0)), folder / "records.parquet")
        (folder / "schema.toml").write_text(schema.to_toml(), "utf-8")
        content = settings.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        (folder / "run.toml").write_text(tomli_w.dumps(content), "utf-8")
        yield folder


def compare(folder: Path, repeats: int) -> dict[str, Any]:
    """Seconds of whole runs, from the command to its end, by engine in turn; encryption's part of them.

    An engine that is not installed has a ``skipped`` with the reason. The last release stays in ``folder``.
    """
    found: dict[str, list[float]] = {"ray": [], "inproc": []}
    shares = []
    skipped = {} if find_spec("ray") else {"ray": "ray is not installed: pip install 'flwr[simulation]'"}
    for _ in range(repeats):
        for engine, times in found.items():
            if engine not in skipped:
                times.append(timed(lambda engine=engine: _simulate(folder, engine)))  # type: ignore[misc]
        shares.append(json.loads((folder / "release" / "report.json").read_text("utf-8"))["encryption_share"])
    return {
        "sites": SITES,
        "records_per_site": RECORDS,
        "engines": {
            engine: {"skipped": skipped[engine]} if engine in skipped else spread(times)
            for engine, times in found.items()
        },
        "encryption_share": [round(of(shares), 4) for of in (statistics.median, min, max)],
    }


def _simulate(folder: Path, engine: str) -> None:
    words = [*command(), "simulate", "run.toml", "--engine", engine, "--out", "release", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S603 - this very program, with fixed arguments
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FedcganError(f"a run in engine {engine} failed", hint=done.stdout[-300:] or done.stderr[-300:])
