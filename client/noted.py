"""A site's own events, for its own eyes: they go to its folder and nowhere else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from common.errors import StorageError
from common.event_log import site_log
from common.events import SiteEvent


def note(folder: Path, event: SiteEvent) -> None:
    """Write an event down. On a full disk it is lost: what counts is in ledger and outbox, which refuse."""
    with suppress(StorageError):
        site_log(folder).append(event)
