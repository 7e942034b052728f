"""A run as anybody shows it: the fold of its events. Terminal, pages, metrics and trackers all show this.

``RunView`` takes one event after the other in constant time and bounded memory, so that a run of any length
is shown at once; ``Watched`` reads only what a log has gained since it last looked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Literal

from .event_log import BEGINNING, run_log
from .events import (
    Began,
    Failed,
    Looked,
    Measured,
    RunEvent,
    SiteStands,
    SiteState,
    Stage,
    State,
    Summed,
    Turned,
)

MOST_POINTS = 512
"""Of a curve: then every second one is left out."""

MOST_LOOKS = 256
"""That are kept, with the first and the last among them."""

MOST_PHASES = 256
"""The latest: a run has about ten, and as many more each time that it is taken up again."""

_STRAGGLES = 3.0  # times the median site's time
_SECONDS = 2.0  # below which nobody is slow
_LATEST = 20  # troubles that are shown


@dataclass(slots=True)
class Curve:
    """Points (step, value) in order of time; thinned evenly once there are too many."""

    points: list[tuple[int, float]] = field(default_factory=list)
    _stride: int = 1
    _count: int = 0

    def add(self, step: int, value: float) -> None:
        """One more; the newest is always there."""
        if self.points and (self._count - 1) % self._stride:
            self.points.pop()  # it was there only as the newest
        self.points.append((step, value))
        self._count += 1
        if len(self.points) > MOST_POINTS:
            self.points = self.points[::2]
            self._stride *= 2

    @property
    def last(self) -> float | None:
        """The newest value."""
        return self.points[-1][1] if self.points else None


@dataclass(slots=True)
class PhaseView:
    """A phase. began, ended: when; ended is None while it goes on"""

    name: str
    done: int
    total: int
    began: datetime
    ended: datetime | None = None
    first_done: int = 0
    moved: datetime | None = None


@dataclass(slots=True)
class SiteView:
    """A site. answered: seconds it took for each of its latest answers; missed: sums that it is not in"""

    state: SiteState | Literal["unknown"]
    since: datetime
    answered: list[float] = field(default_factory=list)
    missed: int = 0


@dataclass(slots=True)
class RunView:
    """What is known of a run. Times are UTC.

    updated: of the last event; up, down: bytes of all sites; curves: ``epsilon`` over sums, ``seconds`` of a
    sum over sums, and what ``Measured`` names; looks: samples, oldest first; trouble: the latest
    """

    began: Began | None = None
    started: datetime | None = None
    updated: datetime | None = None
    state: State = "waiting"
    ending: Turned | None = None
    epsilon: float = 0.0
    phases: list[PhaseView] = field(default_factory=list)
    sites: dict[str, SiteView] = field(default_factory=dict)
    sums: int = 0
    last_sum: Summed | None = None
    up: int = 0
    down: int = 0
    curves: dict[str, Curve] = field(default_factory=dict)
    looks: list[Looked] = field(default_factory=list)
    trouble: list[Failed] = field(default_factory=list)

    def take(self, event: RunEvent) -> None:
        """Fold in one event."""
        self.updated = event.time
        match event:
            case Began():
                self.began, self.started = event, self.started or event.time
                for name in event.sites:
                    self.sites.setdefault(name, SiteView("unknown", event.time))
            case Turned():
                self.state = event.state
                self.ending = event if event.state not in ("waiting", "running") else None
                if self.ending and self.phases:
                    self.phases[-1].ended = self.phases[-1].ended or event.time
            case Stage():
                self._stage(event)
            case SiteStands():
                self._site(event)
            case Summed():
                self._sum(event)
            case Measured():
                self.curves.setdefault(event.name, Curve()).add(event.step, event.value)
            case Looked():
                self.looks.append(event)
                if len(self.looks) > MOST_LOOKS:
                    self.looks = [*self.looks[:-1:2], self.looks[-1]]
            case Failed():
                self.trouble = [*self.trouble, event][-_LATEST:]

    @property
    def phase(self) -> PhaseView | None:
        """The one that goes on, or went on last."""
        return self.phases[-1] if self.phases else None

    @property
    def eta_seconds(self) -> float | None:
        """To the end of this phase, by how it went so far; None if nothing is known yet, or it is over."""
        phase = self.phase
        if phase is None or phase.ended or phase.moved is None or self.state != "running":
            return None
        gone = phase.done - phase.first_done
        spent = (phase.moved - phase.began).total_seconds()
        return spent / gone * (phase.total - phase.done) if gone > 0 else None

    @property
    def stragglers(self) -> list[str]:
        """Sites that take far longer than the others to answer, or did not answer in time."""
        typical = {name: median(site.answered) for name, site in self.sites.items() if site.answered}
        usual = median(typical.values()) if typical else 0.0
        slow = {name for name, took in typical.items() if took > max(_SECONDS, _STRAGGLES * usual)}
        return [name for name, site in self.sites.items() if name in slow or site.state == "late"]

    def _stage(self, event: Stage) -> None:
        if event.epsilon > self.epsilon:
            self.epsilon = event.epsilon
            self.curves.setdefault("epsilon", Curve([(0, 0.0)], _count=1)).add(self.sums, event.epsilon)
        phase = self.phase
        if phase is None or phase.name != event.phase or phase.ended:
            if phase is not None:
                phase.ended = phase.ended or event.time
            phase = PhaseView(event.phase, event.done, event.total, event.time, first_done=event.done)
            self.phases = [*self.phases, phase][-MOST_PHASES:]
        if event.done > phase.done:
            phase.moved = event.time
        phase.done, phase.total = event.done, event.total
        if event.done == event.total > 0:
            phase.ended = event.time

    def _site(self, event: SiteStands) -> None:
        known = self.sites.get(event.site)
        if known is None:
            known = self.sites[event.site] = SiteView(event.state, event.time)
        if known.state == "busy" and event.state == "ready":
            took = (event.time - known.since).total_seconds()
            known.answered = [*known.answered, took][-8:]
        if known.state != event.state:
            known.state, known.since = event.state, event.time

    def _sum(self, event: Summed) -> None:
        self.sums, self.last_sum = self.sums + 1, event
        self.up, self.down = self.up + event.up, self.down + event.down
        for name in event.missing:
            if name in self.sites:
                self.sites[name].missed += 1
        self.curves.setdefault("seconds", Curve()).add(self.sums, event.seconds)


class Watched:
    """The view of a run's folder, kept up to date."""

    def __init__(self, folder: Path) -> None:
        self.view = RunView()
        self.events = 0
        """How many were taken in: it grows when something has happened."""
        self._log, self._position = run_log(folder), BEGINNING

    def refresh(self) -> list[RunEvent]:
        """Take in what is new, and return it. Raises StorageError."""
        new, self._position = self._log.read(self._position)
        for event in new:
            self.view.take(event)
        self.events += len(new)
        return new
