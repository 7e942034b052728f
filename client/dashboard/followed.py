"""What a site's events say of now: which run asked for what last. Only what is new is read."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock

from common.event_log import BEGINNING, site_log
from common.events import Answered, Declined, SiteEvent
from common.plan import attempted
from common.protocol.messages import Contribute

MOST_EVENTS = 200
"""That are kept, the latest."""


@dataclass(slots=True)
class Activity:
    """Of one plan. last: the answer that left last; steps: those that this site contributed to"""

    plan: str
    last: Answered
    steps: set[str] = field(default_factory=set)
    bytes: int = 0

    @property
    def time(self) -> datetime:
        """When something left last."""
        return self.last.time


class Followed:
    """The fold of one site's events, for any number of threads."""

    def __init__(self, folder: Path) -> None:
        self._log, self._position, self._lock = site_log(folder), BEGINNING, Lock()
        self._activities: dict[str, Activity] = {}
        self._latest: deque[SiteEvent] = deque(maxlen=MOST_EVENTS)
        self._declined: dict[str, Declined] = {}

    def refresh(self) -> None:
        """Take in what happened meanwhile. Raises StorageError."""
        with self._lock:
            events, self._position = self._log.read(self._position)
            for event in events:
                self._take(event)

    @property
    def latest(self) -> list[SiteEvent]:
        """The latest events, newest first."""
        with self._lock:
            return list(reversed(self._latest))

    @property
    def newest(self) -> Activity | None:
        """The plan for which something left last."""
        with self._lock:
            return max(self._activities.values(), key=lambda one: one.time, default=None)

    def declined(self, plan: str) -> Declined | None:
        """The last message of a plan that was refused, if nothing was answered since."""
        with self._lock:
            return self._declined.get(plan)

    def _take(self, event: SiteEvent) -> None:
        self._latest.append(event)
        if isinstance(event, Declined):
            self._declined[event.plan] = event
        if not isinstance(event, Answered):
            return
        self._declined.pop(event.plan, None)
        known = self._activities.setdefault(event.plan, Activity(event.plan, event))
        known.last = event
        known.bytes += event.bytes
        if event.message == Contribute.kind:
            known.steps.add(attempted(event.step)[0])
