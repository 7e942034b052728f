"""Points that are no simulation: a secure sum, a site with many records. Each in a process of its own."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FedcganError
from ...modalities.tabular import decode
from ...rehearsal import synthetic_rows
from ...tables import write_table
from ..alone import run_alone
from ..scale import SCHEMA, Schedule

SUM_SITES, SUM_LEAST = 5, 3

_START = "from common.bench.growth.{module} import main; raise SystemExit(main())"


def secure_sum(parameters: int, schedule: Schedule) -> dict[str, Any]:
    """Keys, and one sum of so many values."""
    del schedule
    with tempfile.TemporaryDirectory(prefix="fedcgan-scale-") as folder:
        return _apart("sum_point", [str(parameters), str(SUM_SITES), str(SUM_LEAST)], Path(folder))


def one_site(records: int, schedule: Schedule) -> dict[str, Any]:
    """A site's own part of schedule ``moments`` with so many records."""
    del schedule
    with tempfile.TemporaryDirectory(prefix="fedcgan-scale-") as name:
        folder = Path(name)
        codes = synthetic_rows(SCHEMA, records)
        write_table(decode(codes, SCHEMA, np.random.default_rng(0)), folder / "records.parquet")
        del codes
        return _apart("site_point", [str(records)], folder)


def _apart(module: str, arguments: list[str], folder: Path) -> dict[str, Any]:
    """What a module of this package prints. Raises FedcganError if it fails."""
    out, log = folder / "point.json", folder / "log.txt"
    done = run_alone(_START.format(module=module), arguments, folder, out, log)
    if done.code != 0:
        raise FedcganError(f"{module} ended with {done.code}: {log.read_text('utf-8', 'replace')[-500:]}")
    found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    seconds = {key: round(value, 4) for key, value in found["seconds"].items()}
    whole = round(sum(seconds.values()), 4)
    return {**found, "seconds": {**seconds, "whole": whole}, "peak_bytes": done.peak_bytes}
