"""What a run tells whoever watches: public facts only, one event a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """phase: enrol, keys, measure, fit, train or release; done of total units; epsilon spent so far."""

    phase: str
    done: int
    total: int
    epsilon: float


_listeners: list[Callable[[Event], None]] = []


def emit(phase: str, done: int, total: int, epsilon: float) -> None:
    """Tell all listeners of this process."""
    for listener in _listeners:
        listener(Event(phase=phase, done=done, total=total, epsilon=epsilon))


@contextmanager
def listening(listener: Callable[[Event], None]) -> Iterator[None]:
    """Call ``listener`` for every event inside the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
