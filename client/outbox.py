"""Everything that ever left a site: one line each, on disk before the bytes leave.

outbox-1.jsonl, outbox-2.jsonl, … are full, outbox.jsonl is written to. Lines hold sizes and hashes only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from errno import ENOSPC
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.durable import sync_folder
from common.errors import OutboxError

FULL = 64_000_000
"""Bytes after which a new file is begun."""

NAME_KIND = "name"
"""Of the line for the site's own name, which the vault tells its courier."""

_KIND = re.compile(r"[a-z][a-z-]{0,63}")
_PLAN = re.compile(r"[0-9a-f]{64}")
_STEP = re.compile(r"[a-z][a-z0-9-]{0,63}")
_LONGEST = 1024  # bytes of a line
_NUMBERED = re.compile(r"outbox-([1-9][0-9]*)\.jsonl")


class Sent(BaseModel):
    """Something that left.

    time: UTC, ISO; kind: of the frame; plan, step: as the frame says, empty if it answers nothing readable;
    bytes: its length; sha256: of all its bytes, hexadecimal
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    time: str
    kind: str
    plan: str
    step: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Place(NamedTuple):
    """Where a line of the list ends. file: how many full files lie before; offset: bytes into the next one"""

    file: int = 0
    offset: int = 0


BEGINNING = Place()


class Outbox:
    """The list in a site's folder.

    Guarantees: when ``note`` returns, the line is on disk (fsync of file and folder); two processes do not
    mix their lines (flock). A last line that a power cut left half written is dropped, as what it was about
    never left; anything else that cannot be read raises OutboxError. It is no chain: who may write the
    folder can take lines out. The ledger is what budgets rest on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._current = folder / "outbox.jsonl"

    def note(self, raw: bytes, *, kind: str, plan: str, step: str) -> Sent:
        """Write down what is about to leave, durably.

        kind, plan, step: a text that is none is not kept, as somebody else chose it. Raises OutboxError.
        """
        sent = Sent(
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            kind=kind if _KIND.fullmatch(kind) else "other",
            plan=plan if _PLAN.fullmatch(plan) else "",
            step=step if _STEP.fullmatch(step) else "",
            bytes=len(raw),
            sha256=hashlib.sha256(raw).hexdigest(),
        )
        with self._locked(to_write=True):
            self._rotate()
            new = not self._current.exists()
            descriptor = os.open(self._current, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._drop_half_a_line(descriptor)
                line = sent.model_dump_json().encode() + b"\n"
                if os.write(descriptor, line) != len(line):
                    raise OSError(ENOSPC, os.strerror(ENOSPC), str(self._current))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                sync_folder(self.folder)
        return sent

    def lines(self) -> Iterator[Sent]:
        """Everything that left, oldest first. Raises OutboxError."""
        return (line for _, line in self.placed())

    def placed(self, after: Place = BEGINNING) -> Iterator[tuple[Place, Sent]]:
        """The lines after a place, each with the place where it ends. Raises OutboxError."""
        with self._locked(to_write=False):  # the files are open before another process begins a new one
            paths = self._files()[after.file :]
            files = [path.open("rb") for path in paths]
        try:
            for number, (path, file) in enumerate(zip(paths, files, strict=True), start=after.file):
                offset = file.seek(after.offset if number == after.file else 0)
                for line in file:
                    if not line.endswith(b"\n"):
                        if path != self._current:
                            raise self._damaged(path, f"line {_line(path, offset) + 1} is cut off")
                        break  # its answer is still here, or never left; its rest would be no line
                    offset += len(line)
                    yield Place(number, offset), self._read(line, path, offset)
        finally:
            for file in files:
                file.close()

    def at(self, ends: Iterable[Place]) -> list[Sent]:
        """The lines that end at these places. Raises OutboxError."""
        with self._locked(to_write=False), ExitStack() as stack:
            paths, files, found = self._files(), dict[int, BinaryIO](), []
            for number, end in ends:
                if number >= len(paths):
                    raise self._damaged(self._current, "it is gone")
                if number not in files:
                    files[number] = stack.enter_context(paths[number].open("rb"))
                start = max(0, end - _LONGEST)
                files[number].seek(start)
                *_, line = files[number].read(end - start).splitlines(keepends=True) or [b""]
                found.append(self._read(line, paths[number], end))
        return found

    def _read(self, line: bytes, path: Path, end: int) -> Sent:
        try:
            return Sent.model_validate_json(line)
        except ValidationError as error:
            raise self._damaged(path, f"line {_line(path, end)} cannot be read") from error

    def _files(self) -> list[Path]:
        """The full ones, oldest first, and the current one if there is one. Raises OutboxError."""
        return [*self._numbered(), *([self._current] if self._current.exists() else [])]

    def _numbered(self) -> list[Path]:
        """The full files, oldest first. Raises OutboxError if one of them is missing."""
        numbers = sorted(
            int(found[1])
            for path in self.folder.glob("outbox-*.jsonl")
            if (found := _NUMBERED.fullmatch(path.name))
        )
        if numbers != list(range(1, len(numbers) + 1)):
            missing = min({*range(1, len(numbers) + 1)} - {*numbers})
            raise self._damaged(self.folder / f"outbox-{missing}.jsonl", "it is missing")
        return [self.folder / f"outbox-{number}.jsonl" for number in numbers]

    def _rotate(self) -> None:
        """Begin a new file if the current one is full."""
        full = self._numbered()
        if not self._current.exists() or self._current.stat().st_size < FULL:
            return
        descriptor = os.open(self._current, os.O_RDWR)
        try:
            self._drop_half_a_line(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._current.rename(self.folder / f"outbox-{len(full) + 1}.jsonl")
        sync_folder(self.folder)

    def _drop_half_a_line(self, descriptor: int) -> None:
        """Cut off what a power cut left after the last whole line."""
        size = os.fstat(descriptor).st_size
        start = max(0, size - _LONGEST)
        tail = os.pread(descriptor, _LONGEST, start)
        if not tail or tail.endswith(b"\n"):
            return
        whole = tail.rfind(b"\n") + 1
        if whole == 0 and start > 0:
            raise self._damaged(self._current, "it ends in no line of ours")
        os.ftruncate(descriptor, start + whole)

    @contextmanager
    def _locked(self, *, to_write: bool) -> Iterator[None]:
        """For one writer alone, or for readers: they make no lock, the folder may be a copy to look at."""
        lock = self.folder / ".outbox.lock"
        if not to_write and not lock.exists():  # nobody ever wrote here
            yield
            return
        with open(lock, "w" if to_write else "r") as file:
            fcntl.flock(file, fcntl.LOCK_EX if to_write else fcntl.LOCK_SH)
            yield

    @staticmethod
    def _damaged(path: Path, why: str) -> OutboxError:
        return OutboxError(
            f"the list of what left this site is damaged: {path.name}, {why}",
            hint="find out what happened to it; nothing leaves until it is whole or was moved elsewhere",
        )


def _line(path: Path, end: int) -> int:
    """How many lines a file has up to a byte."""
    return path.read_bytes()[:end].count(b"\n")
