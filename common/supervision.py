"""Keep processes alive: start them, start again what dies, stop all together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_POLL = 0.2
_PAUSE = 2.0  # seconds before what died is started again
_FAREWELL = 20.0  # seconds to end by itself
_LOG_LIMIT = 50_000_000  # bytes of a log file, after which a restart begins a new one
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What to keep running.

    environment: all of it, nothing is inherited; log: its output; user, group: whose rights it has, ours if
    None; needs: a file that must exist before it is started
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    user: int | None = None
    group: int | None = None
    needs: Path | None = None


@dataclass(slots=True)
class _Kept:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    not_before: float = 0.0
    starts: int = 0


@dataclass(slots=True)
class Supervisor:
    """Programs that live and die with this process.

    said: what to do with a sentence about them
    """

    programs: Iterable[Program]
    said: Callable[[str], None]
    _stopping: bool = field(default=False, init=False)

    def run(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Until SIGTERM or SIGINT. meanwhile: called again and again, must not take long."""
        kept = [_Kept(program) for program in self.programs]
        before = {s: signal.signal(s, self._stop) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            while not self._stopping:
                for one in kept:
                    self._look_after(one)
                meanwhile()
                time.sleep(_POLL)
        finally:
            _end([one.process for one in kept if one.process is not None])
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Make ``run`` end."""
        self._stopping = True

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.stop()

    def _look_after(self, one: _Kept) -> None:
        now, program = time.monotonic(), one.program
        if one.process is not None and (code := one.process.poll()) is not None:
            self.said(f"{program.name} ended ({_how(code)}), it is started again; {program.log}")
            _signal(one.process, signal.SIGKILL)  # what it left behind would hold its port
            one.process, one.not_before = None, now + _PAUSE
        if (
            one.process is None
            and now >= one.not_before
            and (program.needs is None or program.needs.exists())
        ):
            one.process = _started(program)
            one.starts += 1


def _started(program: Program) -> subprocess.Popen[bytes]:
    program.log.parent.mkdir(parents=True, exist_ok=True)
    if program.log.exists() and program.log.stat().st_size > _LOG_LIMIT:
        program.log.replace(program.log.with_name(program.log.name + ".1"))
    with open(program.log, "ab") as log:
        return subprocess.Popen(  # noqa: S603 (our own programs, no shell)
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=program.folder,
            env=dict(program.environment),
            user=program.user,
            group=program.group,
            extra_groups=None if program.user is None else [],
            start_new_session=True,
            preexec_fn=_dies_with_parent,  # noqa: PLW1509 (a supervisor has one thread)
        )


def _dies_with_parent() -> None:
    """Linux: a child whose supervisor was killed gets SIGTERM, so that two of a kind never run."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """All of them with what they started: first asked, then killed."""
    for process in reversed(processes):
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + _FAREWELL
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
