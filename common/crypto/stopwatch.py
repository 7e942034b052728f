"""Seconds this process spent on encryption, by kind of work: public operation costs, no record in them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

seconds: defaultdict[str, float] = defaultdict(float)


@contextmanager
def timed(work: str) -> Iterator[None]:
    """Add the wall clock of the block to ``seconds[work]``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[work] += time.perf_counter() - start
