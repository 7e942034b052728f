"""Standard output as it may be: closed, full, or a pipe that nobody reads any more."""

from __future__ import annotations

import contextlib
import os
import select
import sys

CLOSED = "standard output is closed"
FULL = "standard output cannot be written"
HINT = "send it to a file or a program"


def nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader is gone, as after ``| head``."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return False


def is_full() -> bool:
    """Whether standard output does not take what is still buffered for it."""
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


def discard() -> None:
    """What is still buffered goes nowhere; else Python would try again, and complain, as it ends."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
