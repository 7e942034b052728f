"""The first page: how the site stands, what waits for its steward, what is spent, and what left today."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from common.errors import FedcganError
from common.plan import Plan
from common.web import charts, live
from common.web.application import Web

from .. import standing
from ..outbox_index import Found
from ..proposals import Proposal
from ..spending import Spending
from .followed import Activity
from .later import Known
from .state import State
from .words import ago, run_of

_IDLE = 600.0  # seconds after which nobody counts as at work


@dataclass(frozen=True, slots=True)
class Running:
    """A run that this site takes part in. done, total: steps that read records"""

    name: str
    plan: str
    done: int
    total: int
    step: str
    time: datetime
    bytes: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The site at one moment. problems: what could not be read, each on a page of its own"""

    state: str
    marker: standing.Marker | None
    sentence: str
    vault: str
    waiting: list[Proposal]
    running: Running | None
    spending: Known[Spending]
    today: Found | None
    problems: list[FedcganError]


def add(web: Web, state: State) -> None:
    """Register the page and its live part."""

    @web.get("/")
    def home(request: Request) -> Response:
        return web.page(request, "home.html.j2", **_context(state))

    @web.get("/live")
    def lively(request: Request) -> Response:
        shown = web.render(request, "home-part.html.j2", **_context(state))

        def news() -> Mapping[str, str]:
            nonlocal shown
            now = web.render(request, "home-part.html.j2", **_context(state))
            if now == shown:
                return {}
            shown = now
            return {"home": now}

        return live.events(request, news)


def _context(state: State) -> dict[str, Any]:
    seen = look(state)
    spent = seen.spending.value
    return {"seen": seen, "bar": None if spent is None else _bar(spent), "runs": state.runs}


def _bar(spent: Spending) -> object:
    said = f"{spent.spent:.3f} of {spent.cap:g}"
    kind = "failed" if spent.spent > spent.cap else ""
    return charts.bars(
        "ε", [charts.Bar("spent", spent.spent, said, kind)], mark=(spent.cap, "the site's cap")
    )


def look(state: State) -> Seen:
    """The site now. Nothing is locked, nothing raised: a page that cannot be read must not hide the rest."""
    problems: list[FedcganError] = []
    today = None
    try:
        state.outbox.refresh()
        today = state.outbox.find(day=datetime.now(UTC).date().isoformat())
    except FedcganError as error:
        problems.append(error)
    with suppress(FedcganError):  # of events alone: nothing rests on them
        state.events.refresh()
    spending = state.spending.get(state.spent_key)
    if spending.problem is not None:
        problems.append(spending.problem)
    acts, marker = standing.state(state.folder)
    running = _running(state, spending.value)
    return Seen(
        state=acts,
        marker=marker,
        sentence=_sentence(acts, running, state),
        vault="none" if state.simulated else "runs" if state.vault_runs else "stopped",
        waiting=[entry for entry in state.plans if entry.standing == "pending"],
        running=running,
        spending=spending,
        today=today,
        problems=problems,
    )


def _running(state: State, spending: Spending | None) -> Running | None:
    """The run that asked last, unless it is over or was refused."""
    activity = state.events.newest
    if activity is None:
        return None
    entry = next((one for one in state.plans if one.hash == activity.plan), None)
    if entry is None or entry.plan is None or entry.standing != "approved":
        return None
    if spending is not None and activity.plan in spending.endings:
        return None
    return _of(entry.plan, activity)


def _of(plan: Plan, activity: Activity) -> Running:
    planned = plan.steps
    done = len(activity.steps & set(planned))
    last = activity.last
    return Running(plan.run, activity.plan, done, len(planned), last.step, activity.time, activity.bytes)


def _sentence(acts: str, running: Running | None, state: State) -> str:
    if acts == "withdrawn":
        return "It has left the federation for good and answers nothing any more."
    if acts == "paused":
        return "It answers nothing until you let it go on; runs that it takes part in wait."
    if running is not None:
        since = (datetime.now(UTC) - running.time).total_seconds()
        what = f"run '{running.name}': {running.done} of {running.total} steps answered"
        if since > _IDLE:
            return f"It takes part in {what}; the coordinator asked last {ago(running.time)}."
        return f"It is at work for {what}."
    newest = state.events.newest
    if newest is None:
        return "No run has asked this site for anything yet."
    return f"Nothing runs now; {run_of(newest.plan, state.runs)} asked last, {ago(newest.time)}."
