"""What happens: one versioned model, a kind for each thing that can. Every view of a run is made of these.

Two unions keep two sides apart. A ``RunEvent`` is public: a run's coordinator writes it, and it holds names
of sites, sizes, and what was computed from sums that carry the full noise. A ``SiteEvent`` is a site's own
and never leaves it; a coordinator's log has no type for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

VERSION: Literal[1] = 1

State = Literal["waiting", "running", "finished", "failed", "stopped", "interrupted"]
"""Of a run."""

SiteState = Literal["pending", "refused", "paused", "withdrawn", "ready", "busy", "late", "gone"]
"""Of a site in a run: pending until its steward has answered."""


class _Event(BaseModel):
    """time: when it happened"""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    version: Literal[1] = VERSION
    time: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


class Began(_Event):
    """A run is conducted, for the first time or again.

    plan: its hash; run: its name; target: the epsilon that it is planned for, with delta, for one ``unit``;
    modality: table, image or signal; schedule: of the plan; steps: rounds that train
    """

    kind: Literal["began"] = "began"
    plan: str
    run: str
    modality: str
    schedule: str
    sites: tuple[str, ...]
    least: int
    target: float
    delta: float
    unit: str
    steps: int


class Turned(_Event):
    """The run came to be in this state. code, message, hint: of what ended it, if something did."""

    kind: Literal["state"] = "state"
    state: State
    code: str = ""
    message: str = ""
    hint: str = ""


class Stage(_Event):
    """A phase, or how far it is: done of total units. epsilon: of the release, spent so far.

    phase: approve, prepare, enrol, keys, count, measure, fit, train, evaluate, release or bundle
    """

    kind: Literal["stage"] = "stage"
    phase: str
    done: int
    total: int
    epsilon: float


class SiteStands(_Event):
    """A site came to be in this state."""

    kind: Literal["site"] = "site"
    site: str
    state: SiteState


class Summed(_Event):
    """A sum was opened.

    step: with its attempt; contributors: how many sites it holds; missing: those of the roster that it does
    not; up, down: bytes of all messages since the sum before, from and to all sites; seconds: since the first
    question
    """

    kind: Literal["sum"] = "sum"
    step: str
    contributors: int
    missing: tuple[str, ...]
    up: int
    down: int
    seconds: float


class Measured(_Event):
    """A figure that was computed from released sums alone.

    name: ``fit_loss``, of the generator against the released sums, or ``fakes_told``, the share of synthetic
    records that D tells; step: of the fit, or of training
    """

    kind: Literal["figure"] = "figure"
    name: Literal["fit_loss", "fakes_told"]
    step: int
    value: float


class Alarm(BaseModel):
    """What the monitor of mode collapse found. of: a class, empty for the generator as a whole"""

    model_config = ConfigDict(frozen=True, extra="forbid")
    of: str
    alarm: str
    advice: str


class Looked(_Event):
    """Samples were drawn from the generator as it is.

    step: ``fit``, or a step of training; samples: file in the coordinator's folder, a PNG of images or
    signals, a CSV of a table, empty if none could be drawn; alarms: of the monitor of mode collapse; advice:
    on the balance of D and G; generator_steps: that G took in one step of D, on average
    """

    kind: Literal["look"] = "look"
    step: str
    samples: str
    alarms: tuple[Alarm, ...] = ()
    advice: str = ""
    fakes_told: float | None = None
    generator_steps: float | None = None


class Failed(_Event):
    """A site did not do its part in a step. code: of the error, or ``no-answer``"""

    kind: Literal["trouble"] = "trouble"
    step: str
    site: str
    code: str


class PlanStands(_Event):
    """At a site: where a plan stands."""

    kind: Literal["plan"] = "plan"
    plan: str
    run: str
    standing: Literal["pending", "approved", "refused"]


class Answered(_Event):
    """At a site: an answer left. message: its kind; bytes: its length"""

    kind: Literal["answer"] = "answer"
    plan: str
    step: str
    message: str
    bytes: int


class Declined(_Event):
    """At a site: a message was refused. code: of the error"""

    kind: Literal["declined"] = "declined"
    plan: str
    step: str
    code: str


class SiteActs(_Event):
    """At a site: whether it acts."""

    kind: Literal["standing"] = "standing"
    state: Literal["active", "paused", "withdrawn"]


RunEvent = Annotated[
    Began | Turned | Stage | SiteStands | Summed | Measured | Looked | Failed, Field(discriminator="kind")
]
SiteEvent = Annotated[PlanStands | Answered | Declined | SiteActs, Field(discriminator="kind")]

Listener = Callable[[RunEvent], None]

_listeners: list[Listener] = []


def emit(event: RunEvent) -> None:
    """Tell all listeners of this process. Public events only: a site's go to its own log, by no other way."""
    for listener in list(_listeners):
        listener(event)


def stage(phase: str, done: int, total: int, epsilon: float) -> None:
    """Tell how far a phase is."""
    emit(Stage(phase=phase, done=done, total=total, epsilon=epsilon))


def figure(name: Literal["fit_loss", "fakes_told"], step: int, value: float) -> None:
    """Tell a figure; what is no number is left out."""
    if math.isfinite(value):
        emit(Measured(name=name, step=step, value=value))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener`` for every event inside the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
