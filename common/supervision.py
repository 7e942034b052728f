"""Keep processes alive: start them, start again what dies, stop all together."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from .errors import StorageError
from .processes import children, command_line

_POLL = 0.2
_PAUSE = 2.0  # seconds before what died is started again; twice as many each time that it dies soon
_LONGEST_PAUSE = 10.0
_SOON = 60.0  # seconds; who lives longer was well
_LOOK = 2.0  # seconds between two looks at the children of programs
_FAREWELL = 20.0  # seconds to end by itself
_LOG_LIMIT = 50_000_000  # bytes of a log file, after which a restart begins a new one
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """What to keep running.

    environment: all of it, nothing is inherited; log: file of its output, ours if None; user, group: whose
    rights it has, ours if None; needs: a file that must exist before it is started; port: an option that gets
    a free port of this machine, another at every start; child: a program that it starts and cannot do
    without, but does not look after; advice: what people should know when it ends
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path | None
    user: int | None = None
    group: int | None = None
    needs: Path | None = None
    port: str | None = None
    child: str | None = None
    advice: str = ""


@dataclass(slots=True)
class _Kept:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    not_before: float = 0.0
    started: float = 0.0
    deaths: int = 0  # one soon after the other
    next_look: float = 0.0
    had_child: bool = False
    asked_to_end: float | None = None


@dataclass(slots=True)
class Supervisor:
    """Programs that live and die with this process.

    said: what to do with a sentence about them
    """

    programs: Iterable[Program]
    said: Callable[[str], None]
    _stopping: bool = field(default=False, init=False)

    def run(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Until SIGTERM or SIGINT. meanwhile: called again and again, must not take long.

        Raises StorageError if a program's log cannot be written.
        """
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
            where = "" if program.log is None else f"; {program.log}"
            advice = f" ({program.advice})" if program.advice else ""
            self.said(f"{program.name} ended ({_how(code)}), it is started again{advice}{where}")
            _signal(one.process, signal.SIGKILL)  # what it left behind would hold its port
            one.deaths = one.deaths + 1 if now - one.started < _SOON else 1
            one.process = None
            one.not_before = now + min(_PAUSE * 2 ** min(one.deaths - 1, 8), _LONGEST_PAUSE)
        elif one.process is not None and program.child is not None:
            self._look_at_child(one, one.process, program.child, now)
        if (
            one.process is None
            and now >= one.not_before
            and (program.needs is None or program.needs.exists())
        ):
            one.process = _started(program)
            one.started, one.had_child, one.asked_to_end = now, False, None

    def _look_at_child(self, one: _Kept, process: subprocess.Popen[bytes], child: str, now: float) -> None:
        """Without its child a program does nothing: it must end, to be started again with a new one."""
        if now < one.next_look:
            return
        one.next_look = now + _LOOK
        if _has_child(process.pid, child):
            one.had_child = True
        elif one.had_child and one.asked_to_end is None:
            self.said(f"{child} of {one.program.name} is gone; both are started again")
            one.asked_to_end = now
            _signal(process, signal.SIGTERM)
        elif one.asked_to_end is not None and now - one.asked_to_end > _FAREWELL:
            _signal(process, signal.SIGKILL)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _started(program: Program) -> subprocess.Popen[bytes]:
    command = [*program.command, *([program.port, str(free_port())] if program.port else [])]
    if program.log is None:
        return _process(program, command, None)
    program.log.parent.mkdir(parents=True, exist_ok=True)
    if program.log.exists() and program.log.stat().st_size > _LOG_LIMIT:
        program.log.replace(program.log.with_name(program.log.name + ".1"))
    with _log(program.log) as log:
        return _process(program, command, log)


def _log(path: Path) -> BinaryIO:
    """Open for appending. We may be root in another user's folder, so only a file of this name will do."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="remove it") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StorageError(f"{path} is no file", hint="remove it")
    return os.fdopen(descriptor, "ab")


def _process(program: Program, command: list[str], output: BinaryIO | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (our own programs, no shell)
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        cwd=program.folder,
        env=dict(program.environment),
        user=program.user,
        group=program.group,
        extra_groups=None if program.user is None else [],
        start_new_session=True,
        preexec_fn=_dies_with_parent,  # noqa: PLW1509 (it takes no lock that another thread may hold)
    )


def _has_child(pid: int, name: str) -> bool:
    """Whether a process has a child of this name that is alive; where that cannot be known, it has."""
    known = children()
    return not known or any(name in word for child in known.get(pid, []) for word in command_line(child))


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
