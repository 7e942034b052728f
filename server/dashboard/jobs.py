"""What takes longer than a page may: one thread each, one at a time under each name, its end remembered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from common.errors import FedcganError

_LOG = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """said: what it does, for people; error: what ended it, once it is not busy any more"""

    said: str
    busy: bool = True
    error: FedcganError | None = None


class Jobs:
    """By name. What they do, they write to disk; only their errors are kept here."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Job | None:
        """The latest of this name."""
        return self._jobs.get(name)

    def begin(self, name: str, said: str, work: Callable[[], object]) -> Job:
        """Do ``work`` in a thread; the job that goes on if there is one of this name."""
        with self._lock:
            known = self._jobs.get(name)
            if known is not None and known.busy:
                return known
            job = self._jobs[name] = Job(said)
        threading.Thread(target=self._run, args=(job, work), daemon=True).start()
        return job

    @staticmethod
    def _run(job: Job, work: Callable[[], object]) -> None:
        try:
            work()
        except FedcganError as error:
            job.error = error
        except Exception as error:  # a thread has nobody else to tell
            _LOG.exception("%s", job.said)
            job.error = FedcganError(
                f"it failed: {type(error).__name__}", hint="what went wrong is in the terminal"
            )
        finally:
            job.busy = False
