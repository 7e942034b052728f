"""Who is connected, as SuperLink says it. That takes seconds: a thread asks, and pages show how old it is."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from common.errors import FedcganError, SuperLinkError

from ..starting import Engine

EVERY = 20.0
"""Seconds after which a page that is looked at has it asked again."""


@dataclass(frozen=True, slots=True)
class Known:
    """since: when each connected node came, by its number; age: seconds; None, None before the first answer

    error: why the latest question had no answer
    """

    since: dict[int, str] | None
    age: float | None
    error: FedcganError | None


class Connections:
    """Asks only while somebody looks: a question costs the coordinator's machine a second of computing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._since: dict[int, str] | None = None
        self._answered: float | None = None
        self._asked = float("-inf")
        self._error: FedcganError | None = None
        self._asking = False

    def known(self) -> Known:
        """What was said last, at once; if that is old, somebody is asking now."""
        with self._lock:
            if not self._asking and time.monotonic() - self._asked > EVERY:
                self._asking, self._asked = True, time.monotonic()
                threading.Thread(target=self._ask, daemon=True).start()
            age = None if self._answered is None else time.monotonic() - self._answered
            return Known(self._since, age, self._error)

    def _ask(self) -> None:
        try:
            found, error = self._engine.online(), None
        except FedcganError as failure:
            found, error = None, failure
        except Exception as failure:  # whatever Flower's command line printed
            found, error = None, SuperLinkError(f"SuperLink's answer is not understood: {failure!r}")
        with self._lock:
            self._error, self._asking = error, False
            if found is not None:
                self._since, self._answered = found, time.monotonic()
