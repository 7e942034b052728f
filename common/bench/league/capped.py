"""Another program, run with a limit of time and memory, and what it took."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...processes import children

_FIRST_LOOK, _LOOK = 0.02, 0.25  # seconds between two looks at its processes: more often at first
_FIELDS = ("VmHWM", "VmRSS")  # the most it has held, what it holds; kilobytes
_FOLDERS = re.compile(r"(?<![\w.])(?:~|/)[^\s'\",:]*/")
_LONGEST = 240


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended: ``failed`` for an exit code other than 0, a signal, or too much memory.

    wall, processor: seconds, the latter of all its processes that had ended; peak: bytes of the largest one
    """

    status: Literal["ok", "timeout", "failed"]
    reason: str
    wall: float
    processor: float
    peak: int


def run_capped(
    command: Sequence[str],
    *,
    seconds: float,
    memory: int,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
) -> Outcome:
    """Run ``command``, its output to ``log``, and end it with all its processes at a limit.

    folder: it starts in, where it may leave what it likes
    memory: bytes that its processes may hold together, looked at four times a second at least (on Linux)
    """
    start, peak, ended = time.perf_counter(), 0, ""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - a program of ours or of the environment made for it
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    try:
        while True:
            pid, code, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            held, most = _memory(process.pid)
            peak = max(peak, most)
            if held > memory:
                ended = f"held more than {memory / 2**30:.3g} GiB of memory"
            elif time.perf_counter() - start > seconds:
                ended = f"not finished in {seconds / 60:g} minutes"
            if ended:
                _kill(process.pid)
                _, code, usage = os.wait4(process.pid, 0)
                break
            time.sleep(min(_LOOK, _FIRST_LOOK + (time.perf_counter() - start) / 10))
    except BaseException:
        _kill(process.pid)
        os.waitpid(process.pid, 0)
        process.returncode = -signal.SIGKILL
        raise
    process.returncode = os.waitstatus_to_exitcode(code)
    _kill(process.pid)  # what it left behind
    wall, spent = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    if not peak:  # it was faster than a look, or this is no Linux; there it is in bytes
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if ended:
        status: Literal["timeout", "failed"] = "timeout" if ended.startswith("not") else "failed"
        return Outcome(status, ended, wall, spent, peak)
    if process.returncode:
        return Outcome("failed", last_words(log) or f"exit code {process.returncode}", wall, spent, peak)
    return Outcome("ok", "", wall, spent, peak)


def last_words(log: Path) -> str:
    """The last line of a program's output, without folders of this machine."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return _FOLDERS.sub("", lines[-1])[:_LONGEST] if lines else ""


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _memory(root: int) -> tuple[int, int]:
    """Bytes that a process and its descendants hold together, and the most that one of them has held."""
    by_parent, pending, held, most = children(), [root], 0, 0
    while pending:
        pid = pending.pop()
        pending += by_parent.get(pid, [])
        found = _kilobytes(pid)
        held += found.get("VmRSS", 0)
        most = max(most, found.get("VmHWM", 0))
    return held * 1024, most * 1024


def _kilobytes(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines()
    except OSError:  # it has ended, or this is no Linux
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name: int(value.split()[0]) for name, _, value in pairs if name in _FIELDS}
