"""Where the demo's time goes: seconds of each phase, medians over runs, and the functions of one run more.

Each run is a process of its own that starts from nothing. Another version of this program is measured by the
same means, from its own folder.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

from ..errors import ConfigError
from ..launch import APPLICATION
from ..terminal import output

_SCRIPT = Path(__file__).with_name("profiled.py")


def measure(repeats: int, seed: int, source: Path | None, name: str) -> dict[str, Any]:
    """Phases in the order of their start: seconds and processor seconds as [median, least, most].

    source: folder of another version; name: what this one is called on the page
    Raises ConfigError if a run fails.
    """
    folder = source or APPLICATION
    runs = [_run(folder, seed + repeat, functions=False) for repeat in range(repeats)]
    seen = _run(folder, seed, functions=True)
    return {
        "name": name,
        "repeats": repeats,
        "seeds": [seed + repeat for repeat in range(repeats)],
        "seconds": _spread([run["seconds"] for run in runs]),
        "cpu": _spread([run["cpu"] for run in runs]),
        "phases": [
            {
                "phase": phase,
                "seconds": _spread([run["phases"][phase][0] for run in runs]),
                "cpu": _spread([run["phases"][phase][1] for run in runs]),
                **seen["functions"][phase],
            }
            for phase in runs[0]["phases"]
        ],
        "quality": {
            score: _spread([run["quality"][score] for run in runs], 4) for score in runs[0]["quality"]
        },
        "encryption_seconds": {
            part: _spread([run["encryption_seconds"][part] for run in runs])
            for part in runs[0]["encryption_seconds"]
        },
    }


def _run(folder: Path, seed: int, *, functions: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        release = str(Path(temporary) / "release")
        words = [sys.executable, "-P", str(_SCRIPT), release, str(seed), *["--functions"][: int(functions)]]
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=folder)  # noqa: S603, PLW1510
    if done.returncode:
        raise ConfigError(f"the demo in {folder} failed", hint=done.stderr.strip().splitlines()[-1])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _spread(values: list[float], digits: int = 2) -> list[float]:
    return [round(of(values), digits) for of in (statistics.median, min, max)]


def print_table(result: dict[str, Any]) -> None:
    """For people."""
    table = Table(box=None, pad_edge=False)
    for heading in (
        "phase",
        "s",
        "range",
        "processor s",
        "the functions of this program that took longest, s",
    ):
        table.add_column(heading, justify="left" if heading in ("phase", "range") else "right")
    for row in result["phases"]:
        median, least, most = row["seconds"]
        longest = ", ".join(f"{_short(name)} {whole:.1f}" for name, _, whole, _ in row["ours"][:3])
        table.add_row(
            row["phase"], f"{median:.1f}", f"{least:.1f} - {most:.1f}", f"{row['cpu'][0]:.1f}", longest
        )
    output.print(table)
    median, least, most = result["seconds"]
    output.print(
        f"the demo, {result['name']}: {median:.1f} s ({least:.1f} - {most:.1f}), {result['cpu'][0]:.1f} s of "
        f"processors; AUC {result['quality']['tstr_auc'][0]:.3f}",
        highlight=False,
    )


def _short(name: str) -> str:
    return ".".join(name.split(".")[-2:])
