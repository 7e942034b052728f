"""A bound on this process's own memory."""

import resource
from pathlib import Path

ROOM = 2 << 30


def bound() -> None:
    """Allow the process to take 2 GiB more than it has now; what asks for more gets a MemoryError.

    Peaks, as libFuzzer reads them, will not do: Linux hands a parent's on to the child it starts.
    """
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData:")
    )
    limit = int(line.split()[1]) * 1024 + ROOM
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
