"""The demo in a process of its own, with a clock and perhaps a profiler in each phase: one line of JSON.

    python -P common/bench/profiled.py FOLDER SEED [--functions]

Imports no sibling, and this program by absolute names: with another version's folder as PYTHONPATH it
measures that one. FOLDER: of the release
"""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

_SHOWN = 6  # functions of a phase
_OURS = ("client", "common", "server")


class Phases:
    """Takes the run's events: seconds, processor seconds and calls from one change of phase to the next."""

    def __init__(self, functions: bool) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.profiles: dict[str, cProfile.Profile] = {}
        self._functions, self._phase, self._since = functions, "", (0.0, 0.0)
        self.enter("start")

    def told(self, event: Any) -> None:
        """A listener of ``common.events``."""
        if event.kind == "stage":
            self.enter(event.phase)

    def enter(self, phase: str) -> None:
        """All that follows belongs to this phase."""
        if phase == self._phase:
            return
        if self._phase:
            self.leave()
        self._phase, self._since = phase, (time.perf_counter(), time.process_time())
        if self._functions:
            self.profiles.setdefault(phase, cProfile.Profile()).enable()

    def leave(self) -> None:
        """The phase is over."""
        if self._functions:
            self.profiles[self._phase].disable()
        spent = self.seconds.setdefault(self._phase, [0.0, 0.0])
        spent[0] += time.perf_counter() - self._since[0]
        spent[1] += time.process_time() - self._since[1]


def demo(out: Path, seed: int, functions: bool) -> dict[str, Any]:
    """Run it as ``fedcgan demo`` does: seconds of each phase, functions if asked for, figures of the report.

    phases: {name: [seconds, processor seconds]}, of which ``start`` is what is imported and read before
    functions: {phase: {"ours": rows, "own": rows}}, a row being [name, calls, cumulative s, own s]: functions
    of this program by the time until they return, and all by the time they do not spend in others
    """
    phases = Phases(functions)
    main, run, events = (import_module(name) for name in ("server.demo", "server.simulate", "common.events"))
    frame, schema = main.records()
    with events.listening(phases.told):
        done = run.simulate(main.config(seed), frame, schema, out, False)
    phases.leave()
    return {
        "phases": {name: [round(value, 3) for value in spent] for name, spent in phases.seconds.items()},
        "functions": {name: _functions(profile) for name, profile in phases.profiles.items()},
        "quality": {name: done.report[name] for name in ("tvd1", "tvd2", "tstr_auc")},
        "encryption_seconds": done.report["encryption_seconds"],
        "cpu": sum(spent[1] for spent in phases.seconds.values()),
        "seconds": sum(spent[0] for spent in phases.seconds.values()),
    }


def _functions(profile: cProfile.Profile) -> dict[str, list[list[Any]]]:
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    rows = [
        (name, calls, cumulative, own)
        for place, (_, calls, own, cumulative, _) in found.items()
        if (name := _name(*place)) and "profiled." not in name
    ]
    ours = [row for row in rows if row[0].startswith(_OURS)]
    kept = {"ours": sorted(ours, key=lambda row: -row[2]), "own": sorted(rows, key=lambda row: -row[3])}
    return {
        which: [
            [name, calls, round(cumulative, 3), round(own, 3)] for name, calls, cumulative, own in of[:_SHOWN]
        ]
        for which, of in kept.items()
    }


def _name(file: str, _: int, function: str) -> str:
    """A module's function, without folders that name this machine."""
    if not Path(file).name or file == "~":
        return function.strip("<>").partition(" at 0x")[0]
    parts = Path(file).with_suffix("").parts
    for top in _OURS:
        if top in parts:
            return ".".join(parts[len(parts) - parts[::-1].index(top) - 1 :]) + "." + function
    packages = "site-packages" in parts
    return ".".join(parts[parts.index("site-packages") + 1 :] if packages else parts[-1:]) + "." + function


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.stdout.write(json.dumps(demo(Path(sys.argv[1]), int(sys.argv[2]), "--functions" in sys.argv)) + "\n")
