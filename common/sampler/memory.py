"""Whether a draw fits into memory: records are whole there before the first is written."""

from __future__ import annotations

import math
import re
from pathlib import Path

from .errors import RequestError

FEWER = "draw fewer at once: several files, each with another --seed"


def check_fits(count: int, each: int) -> None:
    """Raise RequestError unless ``count`` records of at least ``each`` bytes fit into what is available."""
    needed, free = count * each, available()
    if needed > free:
        raise RequestError(
            f"{count} records need at least {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free",
            hint=FEWER,
        )


def not_enough() -> RequestError:
    """For a MemoryError: what is available was taken by others meanwhile, or by how records are written."""
    return RequestError("there is not enough memory for so many records", hint=FEWER)


def available(meminfo: Path = Path("/proc/meminfo")) -> float:
    """Bytes that the kernel says may be taken, swap included; infinite where it does not say."""
    try:
        text = meminfo.read_text("ascii", "replace")
    except OSError:
        return math.inf
    found = dict(re.findall(r"^(MemAvailable|SwapFree):\s+(\d+) kB", text, re.MULTILINE))
    return sum(1024.0 * int(size) for size in found.values()) if "MemAvailable" in found else math.inf
