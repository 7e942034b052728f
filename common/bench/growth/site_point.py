"""A site's own computing with many records, as its vault does it: reading, and both sums of a table."""

from __future__ import annotations

import json
import sys
import time
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

from ...holdout import new_key
from ...planning import make_plan, stand_in
from ...privacy.ledger import Cap, Ledger
from ...processes import peak_bytes
from ..made_up import made_up_states
from ..scale import SCHEMA, config

_SITES = 3


def point(folder: Path, records: int) -> dict[str, Any]:
    """Seconds of reading ``records.parquet`` in a folder and of each sum of a plan; before: memory that the
    program alone takes."""
    settings = config(_SITES, "moments", records)
    plan = make_plan(settings, SCHEMA, stand_in(settings), "records")
    states = made_up_states(plan, SCHEMA)
    load, task = (
        getattr(import_module(f"client.{module}"), name)
        for module, name in (("data", "load_records"), ("contribution", "task"))
    )
    ledger = Ledger(folder / "ledger.jsonl", uuid.uuid4().hex)
    ledger.create()
    before, start = peak_bytes(), time.perf_counter()
    split = load(folder / "records.parquet", SCHEMA, plan, new_key())
    seconds = {"read": time.perf_counter() - start}
    for step, state in states.items():
        work = task(step, plan)
        cap = Cap(epsilon=plan.privacy.epsilon, delta=plan.privacy.delta)
        receipt = ledger.charge(
            work.mechanism, plan=plan.hash, step=step, cap=cap, unit=plan.privacy.unit, sensitivity=1.0
        )
        start = time.perf_counter()
        work.run(split, SCHEMA, plan, state, receipt)
        seconds[step] = time.perf_counter() - start
    return {"seconds": seconds, "bytes": {}, "memory": {"before_bytes": before}}


def main() -> int:
    """Print the figures for the number of records given, which lie in this folder."""
    print(json.dumps(point(Path.cwd(), int(sys.argv[1]))))  # noqa: T201 - read by the process that started this
    return 0
