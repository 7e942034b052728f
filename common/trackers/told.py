"""What an event says to a tracker of experiments: numbers over steps, samples, sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ..events import Began, Failed, Looked, Measured, RunEvent, Stage, State, Summed, Turned
from ..plain_text import plain
from ..run_view import RunView

_STEP = re.compile(r"train-([0-9]+)")


@dataclass(frozen=True, slots=True)
class Facts:
    """What run it is."""

    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class Number:
    """step: of sums, of the fit, or of training, as the name says"""

    name: str
    step: int
    value: float
    time: datetime


@dataclass(frozen=True, slots=True)
class Sample:
    """path: a PNG or a CSV, which may be gone"""

    step: int
    path: Path
    time: datetime


@dataclass(frozen=True, slots=True)
class Sentence:
    """about: alarm or trouble; place: the step as the run calls it"""

    about: str
    place: str
    step: int
    text: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Stands:
    """The run came to be in this state."""

    state: State
    text: str
    time: datetime


Told = Facts | Number | Sample | Sentence | Stands


class Tracker(Protocol):
    """Where a run is told to. One is of one run."""

    def known(self) -> int:
        """How many of the log's events it was told already."""

    def tell(self, told: list[Told], events: int) -> None:
        """Keep these; with them it was told so many events."""

    def close(self) -> None:
        """Nothing more comes."""


class Tracking:
    """Tells a tracker every event once, whoever told it the earlier ones. folder: of the run"""

    def __init__(self, tracker: Tracker, folder: Path) -> None:
        self._tracker, self._folder = tracker, folder
        self._known, self._seen, self._view = tracker.known(), 0, RunView()

    def take(self, new: list[RunEvent]) -> int:
        """The log's next events; how many of them were new to the tracker."""
        told: list[Told] = []
        before = max(self._known, self._seen)
        for event in new:
            spent = self._view.epsilon
            self._view.take(event)
            self._seen += 1
            if self._seen > self._known:
                told += _told(event, self._view, spent, self._folder)
        gained = max(0, self._seen - before)
        if gained:
            self._tracker.tell(told, self._seen)
        return gained


def _told(event: RunEvent, view: RunView, spent: float, folder: Path) -> Iterator[Told]:
    """view: with the event; spent: epsilon before it"""
    time = event.time
    match event:
        case Began():
            yield Facts(
                {
                    "plan": event.plan,
                    "run": event.run,
                    "modality": event.modality,
                    "schedule": event.schedule,
                    "sites": str(len(event.sites)),
                    "least_sites": str(event.least),
                    "epsilon_target": f"{event.target:g}",
                    "delta": f"{event.delta:g}",
                    "unit": event.unit,
                    "rounds": str(event.steps),
                }
            )
        case Stage() if view.epsilon > spent:
            yield Number("privacy/epsilon", view.sums, view.epsilon, time)
        case Summed():
            yield Number("sums/seconds", view.sums, event.seconds, time)
            yield Number("sums/contributors", view.sums, event.contributors, time)
            yield Number("sums/bytes_up", view.sums, event.up, time)
            yield Number("sums/bytes_down", view.sums, event.down, time)
        case Measured():
            where = "fit/loss" if event.name == "fit_loss" else "train/fakes_told"
            yield Number(where, event.step, event.value, time)
        case Looked():
            yield from _looked(event, folder)
        case Failed():
            text = f"{event.site}: {event.code}"
            yield Sentence("trouble", event.step, step_of(event.step), plain(text), time)
        case Turned():
            why = [part for part in (event.code, event.message, event.hint) if part]
            yield Stands(event.state, plain("; ".join(why)), time)


def _looked(event: Looked, folder: Path) -> Iterator[Told]:
    step = step_of(event.step)
    if event.samples:
        yield Sample(step, folder / "coordinator" / event.samples, event.time)
    if event.generator_steps is not None:
        yield Number("train/generator_steps", step, event.generator_steps, event.time)
    yield Number("look/alarms", step, len(event.alarms) + bool(event.advice), event.time)
    found = [f"{one.alarm}{f' of {one.of}' if one.of else ''}: {one.advice}" for one in event.alarms]
    if text := "\n\n".join(map(plain, [*found, *filter(None, [event.advice])])):
        yield Sentence("alarm", event.step, step, text, event.time)


def step_of(place: str) -> int:
    """The number of a training step, 0 for all that comes before."""
    found = _STEP.match(place)
    return int(found[1]) if found else 0
