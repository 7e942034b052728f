"""Times of benches: medians with their range."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence


def timed(work: Callable[[], object]) -> float:
    """Seconds on the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def worked(work: Callable[[], object]) -> float:
    """Seconds of processors that this process took: those on the clock, if nobody else wants the machine."""
    start = time.process_time()
    work()
    return time.process_time() - start


def spread(times: Sequence[float]) -> dict[str, float]:
    """Median, fastest and slowest."""
    return {
        "seconds": round(statistics.median(times), 6),
        "fastest": round(min(times), 6),
        "slowest": round(max(times), 6),
    }
