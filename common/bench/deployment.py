"""What a real federation costs, all of it on this machine: seconds, memory and processor time by process.

Every program is the real one, every command as people give it; what a network between machines adds is not
in the figures, and that all sites share one machine's processors is.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from ..plan import Plan
from ..terminal import output
from .loopback import SCHEMA, Loopback, LoopbackError
from .network_model import sum_payload

_ROUNDS = {"moments": 0, "every-step": 3, "local": 1}
_PATIENCE = 3600.0
_LOOK = 1.0  # seconds between two looks at the processes
_EXCHANGES = ("keys", "measure", "train", "evaluate")  # phases in which messages travel


def measure(
    sites: int,
    schedule: str,
    *,
    rows: int = 400,
    rounds: int | None = None,
    local_steps: int | None = None,
    small: bool = True,
    round_trip: float | None = None,
    megabits: float | None = None,
) -> dict[str, Any]:
    """Figures of one run from its first command to its release. Raises LoopbackError if it fails.

    round_trip: milliseconds between every site and the coordinator; megabits: a second, of every site's link
    rows: of each site; rounds, local_steps: of the schedule, few if not given; small: networks and a fit of
    seconds, not those that plans have if they say nothing
    """
    with tempfile.TemporaryDirectory(prefix="fedcgan-deployment-") as name:
        folder = Path(name)
        load, began = os.getloadavg()[0], time.time()
        seconds = None if round_trip is None else round_trip / 1000
        with Loopback(folder, sites, rows=rows, round_trip=seconds, megabits=megabits) as federation:
            joined = time.time()
            path, plan_hash = federation.plan(small=small, **_training(schedule, rounds, local_steps))
            _until_connected(federation)
            asked = time.time()
            federation.of("run", str(path), "--detach")
            processes = Processes(federation)
            federation.approve(plan_hash)
            approved = time.time()
            run = federation.federation / "runs" / plan_hash
            _until_finished(run, processes)
            finished = time.time()
            plan = Plan.from_json(path.read_bytes())
            folders = [federation.folder / name for name in federation.names]
            times = answered([folder / "outbox.jsonl" for folder in folders], plan)
            computing = computed([folder / "ledger.jsonl" for folder in folders], plan)
        report = json.loads((run / "release" / "report.json").read_text("utf-8"))
        first = min(of["contribution"][0] for of in times.values() if "contribution" in of)
        exchanging = sum(report["seconds"].get(phase, 0.0) for phase in _EXCHANGES)
        working = sum(computing.values()) + report["seconds"].get("fit", 0.0)
        return {
            "sites": sites,
            "schedule": schedule,
            "rows": rows,
            "round_trip_ms": round_trip,
            "megabits": megabits,
            "local_steps": getattr(plan.train, "local_steps", None),
            "sums": len(plan.steps),
            "seconds": {
                "join": round(joined - began, 1),
                "connect": round(asked - joined, 1),
                "run_to_approved": round(approved - asked, 1),
                "run_to_first_contribution": round(first - asked, 1),
                "approved_to_first_contribution": round(first - approved, 1),
                "run_to_release": round(finished - asked, 1),
                **{f"phase_{phase}": spent for phase, spent in report["seconds"].items()},
            },
            "sum_payload_bytes": sum_payload(plan, SCHEMA),
            "seconds_per_sum": round(statistics.median(sums(times, plan, report["seconds"])), 1),
            "computing": computing,
            "exchanging_share": round(exchanging / (finished - approved), 3),
            "protocol_share": round(1 - working / (finished - approved), 3),
            "peak_bytes": processes.peak,
            "processor_seconds": {kind: round(spent, 1) for kind, spent in processes.spent.items()},
            "processor_share": round(sum(processes.spent.values()) / (finished - asked), 3),
            "trouble": len(report["trouble"]),
            "epsilon": report["epsilon"],
            "load": {"before": round(load, 2), "after": round(os.getloadavg()[0], 2)},
            "processors": os.cpu_count(),
        }


def _training(schedule: str, rounds: int | None, local_steps: int | None) -> dict[str, Any]:
    count = _ROUNDS[schedule] if rounds is None else rounds
    steps = {} if local_steps is None else {"local_steps": local_steps}
    return {"schedule": schedule, "rounds": count, "sample_rate": 0.1, **steps} if count else {}


def _until_connected(federation: Loopback) -> None:
    """Every SuperNode has been let in: it has written down its number."""
    logs = [federation.folder / name / "courier.log" for name in federation.names]
    federation.wait(
        lambda: all(log.exists() and b"SuperNode ID" in log.read_bytes() for log in logs),
        "not all sites have connected",
    )


def _until_finished(run: Path, processes: Processes) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        status = json.loads((run / "status.json").read_text("utf-8"))
        if status["state"] == "finished":
            return
        if status["state"] not in ("waiting", "running"):
            raise LoopbackError(f"the run is {status['state']}: {status['failure']}")
        processes.look()
        time.sleep(_LOOK)
    raise LoopbackError("the run does not finish")


class Processes:
    """Memory and processor time of a federation's processes, by kind.

    peak: bytes (RSS) of the largest of each kind; spent: processor seconds of all of a kind since this was
    made, without those of processes that come and go between two looks
    """

    def __init__(self, federation: Loopback) -> None:
        self._federation = federation
        self._tick = os.sysconf("SC_CLK_TCK")
        self._before: dict[int, float] = {}
        self._last: dict[int, tuple[str, float]] = {}
        self.peak: dict[str, int] = {}
        self.look()
        self._before = {pid: spent for pid, (_, spent) in self._last.items()}

    @property
    def spent(self) -> dict[str, float]:
        """By kind, largest first."""
        found: dict[str, float] = {}
        for pid, (kind, seconds) in self._last.items():
            found[kind] = found.get(kind, 0.0) + seconds - self._before.get(pid, 0.0)
        return dict(sorted(found.items(), key=lambda entry: -entry[1]))

    def look(self) -> None:
        """Once."""
        for name, pids in self._federation.processes().items():
            site, _, kind = name.rpartition("/")
            kind = f"site {kind}" if site else kind
            for pid in pids:
                try:
                    status = Path(f"/proc/{pid}/status").read_text("utf-8")
                    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
                except OSError:  # it has ended
                    continue
                resident = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")]
                self.peak[kind] = max(self.peak.get(kind, 0), *(1024 * count for count in resident), 0)
                self._last[pid] = (kind, (int(fields[11]) + int(fields[12])) / self._tick)


def answered(outboxes: list[Path], plan: Plan) -> dict[str, dict[str, tuple[float, float]]]:
    """When the first and the last site contributed to each step of a plan, and opened it (Unix seconds)."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for outbox in outboxes:
        for line in _lines(outbox):
            if line["plan"] != plan.hash or line["kind"] not in ("contribution", "opened"):
                continue
            at = datetime.fromisoformat(line["time"]).timestamp()
            first, last = found.setdefault(line["step"], {}).get(line["kind"], (at, at))
            found[line["step"]][line["kind"]] = min(first, at), max(last, at)
    return found


def computed(ledgers: list[Path], plan: Plan) -> dict[str, float]:
    """For each step of a plan, the seconds that the slowest site computed: from its charge to its answer.

    Encryption is among them. A ledger's times are whole seconds.
    """
    found: dict[str, float] = {}
    for ledger in ledgers:
        began: dict[str, datetime] = {}
        for line in _lines(ledger):
            if line.get("plan") != plan.hash or line.get("kind") not in ("charge", "answered"):
                continue
            at, step = datetime.fromisoformat(line["time"]), line["step"]
            spent = (at - began.setdefault(step, at)).total_seconds()
            found[step] = max(found.get(step, 0.0), spent)
    return found


def sums(
    times: dict[str, dict[str, tuple[float, float]]], plan: Plan, phases: dict[str, float]
) -> list[float]:
    """Seconds of each secure sum: from the opening of the one before to its own, without what is computed
    between the two by the coordinator alone."""
    steps = ["proof", *(step for step in plan.steps if step in times)]
    ends = [times[step]["opened"][1] for step in steps]
    fit_before = next((step for step in plan.steps if step.startswith("train")), None)
    return [
        max(0.0, end - before - (phases.get("fit", 0.0) if step == fit_before else 0.0))
        for step, before, end in zip(steps[1:], ends, ends[1:], strict=False)
    ]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text("utf-8").splitlines():
        yield json.loads(line)


def print_table(result: dict[str, Any]) -> None:
    """For people."""
    table = Table(box=None, pad_edge=False)
    for heading in (f"{result['sites']} sites, {result['schedule']}", "", ""):
        table.add_column(heading)
    row: Callable[..., None] = table.add_row
    for name, seconds in result["seconds"].items():
        row(name.replace("_", " "), f"{seconds:.1f}", "s")
    row("a secure sum", f"{result['seconds_per_sum']:.1f}", f"s, median of {result['sums']}")
    row("exchanging", f"{100 * result['exchanging_share']:.0f}", "% of the time from approval to release")
    row("protocol", f"{100 * result['protocol_share']:.0f}", "% of it: no site's computing, no fit")
    for kind, peak in result["peak_bytes"].items():
        row(
            kind, f"{peak / 2**20:.0f}", f"MiB, {result['processor_seconds'].get(kind, 0):.0f} s of processor"
        )
    row("load", f"{result['load']['before']:.1f}", f"before, {result['processors']} processors")
    output.print(table)
