"""A program in a process of its own: how long it took and how much memory it held, nothing else's in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..launch import APPLICATION

_PEAK = """import atexit
from pathlib import Path
from common.processes import peak_bytes
atexit.register(lambda: Path("peak.txt").write_text(str(peak_bytes())))
"""  # the program says it itself: the system's figure for a child includes its starter's


@dataclass(frozen=True, slots=True)
class Finished:
    """What a process took. code: its exit status; peak_bytes: the most memory that it held at once."""

    code: int
    seconds: float
    peak_bytes: int


def run_alone(start: str, arguments: Sequence[str], folder: Path, out: Path, log: Path) -> Finished:
    """Run Python code with arguments in ``folder``, where ``peak.txt`` is left.

    out, log: files for what it prints and complains of
    """
    began = time.perf_counter()
    with open(out, "wb") as printed, open(log, "wb") as complained:
        process = subprocess.Popen(  # noqa: S603 - this very program, with arguments of our own
            [sys.executable, "-c", _PEAK + start, *arguments],
            cwd=folder,
            env=_environment(),
            stdout=printed,
            stderr=complained,
        )
        code = process.wait()
    left = folder / "peak.txt"
    peak = int(left.read_text("utf-8")) if left.exists() else 0  # it was killed, and did not come to say
    return Finished(code, time.perf_counter() - began, peak)


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(APPLICATION), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TERM": "dumb"}
