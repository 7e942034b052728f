"""A run in five steps that anybody can follow, and one sentence that says what happens now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from common.evidence.formats import count
from common.run_view import PhaseView, RunView

from .runs import Run
from .spans import about

Where = Literal["done", "now", "to come", "stopped here"]


@dataclass(frozen=True, slots=True)
class Step:
    """One of the five. phases: names in the log; what: while it goes on; why: for who has never seen one."""

    title: str
    phases: tuple[str, ...]
    why: str


STEPS = (
    Step("Agree", ("approve", "prepare"), "Every site's data steward reads the plan and says yes or no."),
    Step(
        "Make the key",
        ("enrol", "keys"),
        "The sites make one key together. Each keeps a piece; nobody ever holds all of it.",
    ),
    Step(
        "Measure together",
        ("count", "measure"),
        "Each site adds noise, encrypts, and sends. Only the sum of all sites is ever opened.",
    ),
    Step(
        "Train the generator",
        ("fit", "train"),
        "A generator learns to make records whose sums look like the real ones.",
    ),
    Step("Check and release", ("evaluate", "release", "bundle"), "Synthetic records are drawn and judged."),
)

_NOW = {
    "approve": "the sites' data stewards decide on the plan",
    "prepare": "records are split between the simulated sites",
    "enrol": "the sites check who takes part",
    "keys": "the sites make a key that nobody holds alone",
    "count": "the sites count together, under noise and encryption",
    "measure": "the sites measure together, under noise and encryption",
    "fit": "the generator is fitted to the opened sums; the sites have a rest",
    "train": "the generator and its opponent are trained by encrypted sums",
    "evaluate": "every site compares synthetic records with its own; only the sum is opened",
    "release": "synthetic records are drawn and the report is written",
    "bundle": "the release is packed and signed",
}
_UNITS = {"train": "rounds", "fit": "steps of the fit"}
_ASKED = {"enrol", "keys", "count", "measure", "train", "evaluate"}
_WENT = ("gone", "late", "withdrawn", "paused", "refused")


@dataclass(frozen=True, slots=True)
class Stand:
    """One of the five as it stands. said: how long it took, how far it is; share: done of it, 0 to 1"""

    number: int
    step: Step
    where: Where
    said: str
    share: float | None


def stands(run: Run) -> Sequence[Stand]:
    """All five, in order."""
    view = run.view
    at = _at(view)
    return [_stand(run, number, step, at) for number, step in enumerate(STEPS)]


def sentence(run: Run) -> str:
    """What happens now."""
    view, phase = run.view, run.view.phase
    match run.state:
        case "finished":
            took = _seconds(view.started, view.updated)
            return f"{len(view.sites)} sites trained one generator together, in {about(took)}."
        case "failed":
            return "The run ended before its goal. What was finished is kept."
        case "stopped":
            return "The run was stopped. What was finished is kept; it can go on from here."
        case "interrupted":
            return "Nobody conducts this run any more. What was finished is kept; it can go on from here."
    if phase is None:
        return "The run is about to begin."
    parts = [f"Step {_at(view) + 1} of {len(STEPS)}: {_NOW.get(phase.name, phase.name)}"]
    if answered := _answered(view, phase):
        parts.append(answered)
    if (left := view.eta_seconds) is not None:
        parts.append(
            f"about {about(60 * round(left / 60))} left" if left >= 60 else "less than a minute left"
        )
    return ", ".join(parts) + "."


def _answered(view: RunView, phase: PhaseView) -> str:
    if phase.name == "approve":
        return f"{phase.done} of {phase.total} have said yes"
    busy = sum(site.state == "busy" for site in view.sites.values())
    away = sum(site.state in _WENT for site in view.sites.values())
    if phase.name in _ASKED and busy:
        return f"{len(view.sites) - busy - away} of {len(view.sites)} sites have answered"
    if (unit := _UNITS.get(phase.name)) and phase.total > 1:
        return f"{count(phase.done)} of {count(phase.total)} {unit}"
    return ""


def _at(view: RunView) -> int:
    if view.phase is None:
        return 0
    return next((n for n, step in enumerate(STEPS) if view.phase.name in step.phases), len(STEPS) - 1)


def _stand(run: Run, number: int, step: Step, at: int) -> Stand:
    view = run.view
    mine = [phase for phase in view.phases if phase.name in step.phases]
    if run.state == "finished" or number < at:
        return Stand(number, step, "done", _took(mine) or "done", None)
    if number > at or view.phase is None:
        return Stand(number, step, "to come", "", None)
    phase = view.phase
    share = phase.done / phase.total if phase.total else None
    if run.state not in ("waiting", "running"):
        return Stand(number, step, "stopped here", _took(mine), share)
    if (unit := _UNITS.get(phase.name)) and phase.total > 1:
        return Stand(number, step, "now", f"{count(phase.done)} of {count(phase.total)} {unit}", share)
    if phase.total > 1:
        return Stand(number, step, "now", f"{count(phase.done)} of {count(phase.total)}", share)
    return Stand(number, step, "now", f"since {phase.began:%H:%M} UTC", None)


def _took(phases: Sequence[PhaseView]) -> str:
    seconds = sum(_seconds(phase.began, phase.ended) for phase in phases if phase.ended)
    return about(seconds) if phases else ""


def _seconds(began: datetime | None, ended: datetime | None) -> float:
    if began is None:
        return 0.0
    return ((ended or datetime.now(UTC)) - began).total_seconds()
