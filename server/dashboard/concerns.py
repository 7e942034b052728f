"""What may go wrong in a run, and what to do about it: from public events alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from common.events import SiteState
from common.run_view import RunView

from .runs import Run

_COLLAPSE = {
    "missing": "No synthetic record of {of}",
    "collapsed": "Synthetic records of {of} are too alike",
    "frozen": "Synthetic records hardly differ from each other",
    "ignores-label": "The generator ignores which class is asked for",
}
_AWAY: dict[SiteState, tuple[str, str]] = {
    "gone": (
        "{names} cannot be reached",
        "The run goes on while enough sites are there. Ask their IT whether the site's two programs run.",
    ),
    "late": (
        "{names} did not answer in time",
        "The step is tried without them if enough others answered. A larger machine there helps.",
    ),
    "paused": ("{names} paused", "Their people paused it there and can go on there; ask them when."),
    "withdrawn": ("{names} left the run", "That is their right. If too few sites are left, make a new plan."),
    "refused": ("{names} said no to the plan", "Ask the data steward why, and make another plan."),
}
_SHOWN = 5  # names, of many


@dataclass(frozen=True, slots=True)
class Concern:
    """title: what is the matter; advice: what to do; grave: whether it stops the run"""

    title: str
    advice: str
    grave: bool = False


def concerns(run: Run) -> list[Concern]:
    """The gravest first."""
    view = run.view
    found = [*_of_sites(view)] if run.state in ("waiting", "running") else []
    if view.looks:
        last = view.looks[-1]
        for alarm in last.alarms:
            title = _COLLAPSE.get(alarm.alarm, alarm.alarm).format(of=alarm.of or "some class")
            found.append(Concern(f"{title} (mode collapse)", _sentence(alarm.advice)))
        if last.advice:
            said, _, advice = last.advice.partition(": ")
            found.append(Concern(f"Out of balance: {said}", _sentence(advice or last.advice)))
    return found


def _of_sites(view: RunView) -> Iterable[Concern]:
    least = view.began.least if view.began else 0
    for state, (title, advice) in _AWAY.items():
        names = [name for name, site in view.sites.items() if site.state == state]
        if names:
            few = state in ("gone", "withdrawn") and len(view.sites) - len(names) < least
            yield Concern(title.format(names=named(names)), advice, few)
    known = {name for name, site in view.sites.items() if site.state in _AWAY}
    slow = [name for name in view.stragglers if name not in known]
    if slow:
        yield Concern(
            f"{named(slow)} take{'s' if len(slow) == 1 else ''} much longer than the others",
            "Every sum waits for the slowest. Look at the load of that machine, or at its network.",
        )


def named(names: list[str]) -> str:
    """Some of the names, and how many more."""
    if len(names) <= _SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} others"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
