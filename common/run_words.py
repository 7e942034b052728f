"""What phases, states of sites and the balance of D and G are called, wherever a run is shown."""

from __future__ import annotations

from collections import Counter

from .events import Looked
from .plan import COUNT_STEP, EVALUATE_STEP, Plan
from .run_view import PhaseView, RunView

PHASES = {
    "prepare": "split records, calibrate noise",
    "approve": "data stewards read the plan and approve it",
    "enrol": "sites check and approve the plan",
    "keys": "joint key, held by nobody",
    "count": "one noisy sum of one-way counts",
    "measure": "one noisy sum of pairs or features",
    "fit": "generator fitted to released sums",
    "train": "DP-SGD, encrypted sums",
    "evaluate": "one noisy sum: how synthetic records do at every site",
    "release": "synthetic records and report",
    "bundle": "files of the release, signatures, a first verification",
}
"""In their order, and what happens in them."""

SITES = {
    "refused": "its data steward refused the plan",
    "gone": "not connected; it takes part again as soon as it is",
    "withdrawn": "has left the federation for good; the run goes on while enough sites are left",
    "late": "late; it did not answer in time, and is asked again in the next step",
    "paused": "paused by its data steward; it may come back",
    "pending": "its data steward has not approved the plan yet",
    "busy": "busy",
    "ready": "ready",
    "unknown": "not seen yet",
}
"""States, the worst first, and what they mean."""

SHORT = {**{state: state for state in SITES}, "pending": "not approved yet", "unknown": "not seen yet"}

STYLES = {
    "refused": "red",
    "gone": "red",
    "withdrawn": "red",
    "late": "yellow",
    "paused": "yellow",
    "pending": "yellow",
    "busy": "cyan",
    "ready": "green",
    "unknown": "dim",
}


def expected(plan: Plan, *, deployed: bool) -> list[str]:
    """The phases of a run of this plan, in their order. deployed: in a federation, not in a simulation"""
    there = {
        "approve": deployed,
        "enrol": True,
        "keys": True,
        "count": COUNT_STEP in plan.steps,
        "measure": True,
        "fit": True,
        "train": plan.rounds > 0,
        "evaluate": EVALUATE_STEP in plan.steps,
        "release": not plan.rehearsal,
    }
    return [phase for phase in PHASES if there.get(phase)]


def latest(view: RunView) -> dict[str, PhaseView]:
    """Of each phase the last time that it went on: a resumed run goes through some again."""
    return {phase.name: phase for phase in view.phases}


def balance(view: RunView) -> str:
    """How D and G stand, in words; empty where there is no D, or nothing is known yet."""
    if view.began is None or view.began.schedule == "moments":
        return ""
    if view.began.schedule == "local":
        return "every site trains its own D, which nobody else sees"
    looked = next((look for look in reversed(view.looks) if look.fakes_told is not None), None)
    curve = view.curves.get("fakes_told")
    told = curve.last if curve and curve.last is not None else looked.fakes_told if looked else None
    if told is None:
        return ""
    return f"D tells {told:.0%} of the fakes{_pace(looked)}" + ("" if _advised(looked) else "; in balance")


def _pace(looked: Looked | None) -> str:
    steps = looked.generator_steps if looked else None
    return "" if steps is None else f", G takes {steps:.2g} steps for each of D's"


def _advised(looked: Looked | None) -> bool:
    return bool(looked and looked.advice)


def warnings(view: RunView) -> list[str]:
    """What the last look at the generator gave reason for, with what to do about it."""
    if not view.looks:
        return []
    last = view.looks[-1]
    found = [f"{alarm.alarm}{f' of {alarm.of}' if alarm.of else ''}: {alarm.advice}" for alarm in last.alarms]
    return [*found, last.advice] if last.advice else found


def tally(view: RunView, names: list[str] | None = None) -> str:
    """``188 ready, 2 late``: of these sites, or of all."""
    states = Counter[str](site.state for name, site in view.sites.items() if names is None or name in names)
    return ", ".join(f"{states[state]} {SHORT[state]}" for state in SITES if states[state])


def span(seconds: float) -> str:
    """Time for people: ``<1 s``, ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "<1 s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
