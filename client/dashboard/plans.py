"""Plans: those that wait first, each in plain words, with what it changes, costs and sends; yes or no."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from common.errors import UsageError
from common.web import charts
from common.web.application import Form, Web, see_other

from .. import decisions, standing
from ..plan_costs import Budget
from ..plan_reading import Reading, read
from .state import State


def add(web: Web, state: State) -> None:
    """Register the pages and what a steward can answer."""

    @web.get("/plans")
    def plans(request: Request) -> Response:
        entries = list(reversed(state.plans))
        waiting = [entry for entry in entries if entry.standing == "pending"]
        answered = [entry for entry in entries if entry.standing != "pending"]
        return web.page(request, "plans.html.j2", waiting=waiting, answered=answered)

    @web.get("/plans/{known}")
    def plan(request: Request, known: str) -> Response:
        entry = next((one for one in state.plans if one.hash == known), None)
        if entry is not None and entry.plan is None:
            return web.page(request, "plan-damaged.html.j2", entry=entry)
        reading = read(state.site, known)
        acts, _ = standing.state(state.folder)
        return web.page(
            request,
            "plan.html.j2",
            reading=reading,
            reason=entry.reason if entry else "",
            bars=_bars(reading.budget),
            warnings=_warnings(reading),
            sent=sum(one.times * (one.bytes + one.opening_bytes) for one in reading.leaving),
            withdrawn=acts == "withdrawn",
        )

    @web.get("/plans/{known}/approve")
    def confirm(request: Request, known: str) -> Response:
        reading = read(state.site, known)
        facts: dict[str, Any] = {"bars": _bars(reading.budget), "warnings": _warnings(reading)}
        return web.page(request, "plan-approve.html.j2", reading=reading, **facts)

    @web.action("/plans/{known}/approve")
    def approve(request: Request, form: Form) -> Response:
        known = request.path_params["known"]
        if form.get("read") != "yes":
            raise UsageError("nothing was approved", hint="tick that you have read what the plan costs")
        plan = decisions.approve(state.site, known)
        return see_other(f"/plans/{plan.hash}")

    @web.action("/plans/{known}/refuse")
    def refuse(request: Request, form: Form) -> Response:
        found = decisions.refuse(state.site, request.path_params["known"], form.get("reason", ""))
        return see_other(f"/plans/{found}")


def _warnings(reading: Reading) -> list[str]:
    return [warning for part in reading.parts for warning in part.warnings]


def _bars(spent: Budget) -> object:
    """Now, after, and the cap."""
    rows = [charts.Bar("now", spent.now, f"ε {spent.now:.3f}")]
    if spent.after is not None:
        rows.append(charts.Bar("after this plan", spent.after, f"ε {spent.after:.3f}"))
    else:
        rows.append(charts.Bar("after this plan", 1.02 * spent.cap, "above the cap", "failed"))
    return charts.bars("This site's budget", rows, mark=(spent.cap, f"the site's cap, ε {spent.cap:g}"))
