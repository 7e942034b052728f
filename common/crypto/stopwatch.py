"""Seconds this process spent on encryption, by kind of work: public operation costs, no record in them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

seconds: Counter[str] = Counter()


@contextmanager
def timed(work: str) -> Iterator[None]:
    """Add the wall clock of the block to ``seconds[work]``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[work] += time.perf_counter() - start
