"""What takes longer than a page may: worked out in a thread, and shown as it was until it is there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from common.errors import FedcganError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """value: what is known, if anything; problem: what went wrong instead; fresh: whether it is of now"""

    value: T | None = None
    problem: FedcganError | None = None
    fresh: bool = False


class Later(Generic[T]):
    """One value, worked out again when what it rests on has changed; never twice at once."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._known: Known[T] = Known()
        self._key: object = None
        self._thread: threading.Thread | None = None

    def get(self, key: object, patience: float = 0.15) -> Known[T]:
        """What is known, after at most ``patience`` seconds. key: equal as long as the value is the same"""
        with self._lock:
            if self._key == key and self._known.fresh:
                return self._known
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(key,), daemon=True)
                self._thread.start()
            thread = self._thread
        thread.join(patience)
        with self._lock:
            return self._known if self._key == key else Known(self._known.value, self._known.problem)

    def _run(self, key: object) -> None:
        known: Known[T] = Known()
        try:
            known = Known(self._work(), fresh=True)
        except FedcganError as error:
            known = Known(problem=error, fresh=True)
        except OSError as error:  # a file that went, or is not ours
            failed = FedcganError(f"{error.filename}: {error.strerror}", hint="as the vault's own user?")
            known = Known(problem=failed, fresh=True)
        finally:
            with self._lock:
                self._known, self._key, self._thread = known, key, None
