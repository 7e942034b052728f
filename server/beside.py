"""Work that may take long beside a loop that must not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Beside:
    """Calls do ``work`` in a thread, one at a time: while it goes on, they do nothing.

    What it raised, the next call raises. The thread dies with the process, as in a crash: ``work`` must bear
    that.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def __call__(self) -> None:
        """Begin it, unless it goes on."""
        if self._thread is not None and self._thread.is_alive():
            return
        if self._error is not None:
            raise self._error
        self._thread = threading.Thread(target=self._do, daemon=True)
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Wait so long for what goes on."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _do(self) -> None:
        try:
            self._work()
        except Exception as error:
            self._error = error
