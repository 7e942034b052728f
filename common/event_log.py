"""``events.jsonl`` in a run's or a site's folder: one event a line, for whoever watches.

events-1.jsonl, events-2.jsonl, … are full, events.jsonl is written to. Full ones may be removed, but for the
newest, whose number says how many there were. Nothing rests on the log: what was
spent is in the ledger, what left in the outbox, how far a run is in its checkpoint. So a line is not forced
to the disk, and one that cannot be read is left out and counted.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from .errors import StorageError
from .events import RunEvent, SiteEvent

FULL = 16_000_000
"""Bytes after which a new file is begun."""

_NUMBERED = re.compile(r"events-([1-9][0-9]*)\.jsonl")
_Event = TypeVar("_Event")


class Position(NamedTuple):
    """How far somebody has read. file: how many full files lie before; offset: bytes into the next one"""

    file: int = 0
    offset: int = 0


BEGINNING = Position()


class EventLog(Generic[_Event]):
    """One log. Raises StorageError where it cannot be read or written."""

    def __init__(self, folder: Path, kinds: TypeAdapter[_Event]) -> None:
        self.folder = folder
        self.skipped = 0
        """Lines that could not be read: of a newer version, or cut off in a crash."""
        self._kinds = kinds
        self._current = folder / "events.jsonl"

    def append(self, event: _Event) -> None:
        """Write one event. Raises ValidationError for one of the other side."""
        line = self._kinds.dump_json(self._kinds.validate_python(event)) + b"\n"
        try:
            with self._locked():
                self._rotate()
                with open(self._current, "a+b", buffering=0, opener=_private) as file:
                    file.write(line if self._ends_whole(file.fileno()) else b"\n" + line)
        except OSError as error:
            raise StorageError(f"{self._current} cannot be written: {error.strerror}") from error

    def read(self, after: Position = BEGINNING) -> tuple[list[_Event], Position]:
        """The events after a position, oldest first, and the position after them."""
        events: list[_Event] = []
        file, offset = after
        try:
            raws = self._unread(after)
        except OSError as error:
            raise StorageError(f"{self._current} cannot be read: {error.strerror}") from error
        for place, raw in enumerate(raws):
            full = place < len(raws) - 1  # what is cut off there stays so
            whole = raw if full else raw[: raw.rfind(b"\n") + 1]
            events += self._parsed(whole)
            offset = len(whole) if place else offset + len(whole)
            file += full
        return events, Position(file, offset)

    def _unread(self, after: Position) -> list[bytes]:
        """What each file holds beyond a position, from the one that it is in.

        Without a lock: whoever only watches, and may be stopped while it does, must not stop a run.
        """
        while True:
            full = self._full()
            paths = [self.folder / f"events-{number}.jsonl" for number in range(after.file + 1, full + 1)]
            raws = [_from(path, 0 if i else after.offset) for i, path in enumerate([*paths, self._current])]
            if self._full() == full:  # else the current file became a full one meanwhile
                return raws

    def _parsed(self, whole: bytes) -> Iterator[_Event]:
        for line in whole.splitlines():
            try:
                yield self._kinds.validate_json(line)
            except ValidationError:
                self.skipped += bool(line.strip())

    def _full(self) -> int:
        numbers = (_NUMBERED.fullmatch(path.name) for path in self.folder.glob("events-*.jsonl"))
        return max((int(found[1]) for found in numbers if found), default=0)

    def _rotate(self) -> None:
        if self._current.exists() and self._current.stat().st_size >= FULL:
            self._current.rename(self.folder / f"events-{self._full() + 1}.jsonl")

    @staticmethod
    def _ends_whole(descriptor: int) -> bool:
        size = os.fstat(descriptor).st_size
        return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time."""
        with open(self.folder / ".events.lock", "a", opener=_private) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def run_log(folder: Path) -> EventLog[RunEvent]:
    """Of a run, in its coordinator's folder, or in that of a simulation."""
    return EventLog(folder, TypeAdapter(RunEvent))


def site_log(folder: Path) -> EventLog[SiteEvent]:
    """Of a site, for its own eyes."""
    return EventLog(folder, TypeAdapter(SiteEvent))


def _from(path: Path, offset: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:  # removed, or nothing was written yet
        return b""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
