"""The processes of this machine, as Linux lists them; elsewhere none are known."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_PROC = Path("/proc")


def children() -> dict[int, list[int]]:
    """Process ids by their parent's, of processes that are alive."""
    found: dict[int, list[int]] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
        except (OSError, ValueError):  # it ended meanwhile
            continue
        if state != "Z":
            found.setdefault(int(parent), []).append(int(path.parent.name))
    return found


def command_line(pid: int) -> list[str]:
    """The words of its command; none if it has ended."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return []


def peak_bytes() -> int:
    """The most memory this process has held. On Linux getrusage would also say what its starter had held."""
    status = _PROC / "self" / "status"
    if status.exists():
        (line,) = (line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
