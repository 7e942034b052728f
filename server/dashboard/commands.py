"""This program's own command line in a process of its own: for what takes seconds, cores, or much memory.

So pages stay quick, a figure of memory is that of the work alone, and what a command does and refuses is
what it does and refuses for whoever types it.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from typing import Any

from common.errors import FedcganError, InterruptedRunError, RefusedError
from common.launch import command


class Command:
    """One call. Its answer is the envelope that ``--json`` prints."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def run(self) -> dict[str, Any]:
        """Wait for its data.

        Raises RefusedError with the command's own code, message and hint, InterruptedRunError if it was
        stopped, FedcganError if it does not answer.
        """
        with self._lock:
            if self._stopped:
                raise _stopped()
            self._process = subprocess.Popen(  # noqa: S603 (no shell)
                [*command(), *self._arguments, "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"OMP_NUM_THREADS": "1", **os.environ},
            )
        printed, _ = self._process.communicate()
        if self._stopped:
            raise _stopped()
        try:
            answer = json.loads(printed)
            if answer["status"] == "ok":
                data: dict[str, Any] = answer["data"]
                return data
            raise _said(answer["error"])
        except (ValueError, KeyError, TypeError) as error:
            name = " ".join(self._arguments[:2])
            raise FedcganError(f"'{name}' gave no answer", hint="try it on the command line") from error

    def stop(self) -> None:
        """Nobody wants its answer any more."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()


def _said(error: dict[str, str]) -> FedcganError:
    """The other process's error, with its own code."""
    found = RefusedError("", error["code"], error["message"], error["hint"])
    found.message = error["message"]
    return found


def _stopped() -> InterruptedRunError:
    return InterruptedRunError("it was stopped", hint="ask again")
