"""The last lines of a site's own log, read from its end: the log may be long."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

LEVELS = ("INFO", "WARNING", "ERROR")

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d{3} ([A-Z]+) (.*)")
_BLOCK = 1 << 16
_FARTHEST = 1 << 24  # bytes that are looked through, at most


@dataclass(frozen=True, slots=True)
class Line:
    """time: as the log has it (this machine's), empty with the level for what is no line of ours"""

    time: str
    level: str
    text: str

    @classmethod
    def of(cls, raw: str) -> Line:
        """A line of the log."""
        found = _LINE.fullmatch(raw)
        return cls(*found.groups()) if found else cls("", "", raw)


def tail(path: Path, count: int, levels: Collection[str] = ()) -> list[str]:
    """The last ``count`` lines, oldest first; of these levels if there are any. Nothing without a log."""
    kept: list[str] = []
    try:
        with path.open("rb") as file:
            end, rest = file.seek(0, 2), b""
            least = max(0, end - _FARTHEST)
            while end > least and len(kept) < count:
                start = max(least, end - _BLOCK)
                file.seek(start)
                first, newline, whole = (file.read(end - start) + rest).partition(b"\n")
                if start == 0:
                    first, whole = b"", first + newline + whole
                rest, end = first + newline, start
                lines = filter(None, whole.decode("utf-8", "replace").split("\n"))
                kept = [line for line in lines if not levels or Line.of(line).level in levels] + kept
    except FileNotFoundError:
        return []
    return kept[-count:]
