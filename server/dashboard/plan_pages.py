"""Plans: those that there are, a form for a new one with what it costs beside it, and starting one."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from common.errors import FedcganError, NotApprovedError
from common.plan import Plan
from common.web.application import Form, is_htmx, see_other

from ..starting import Times, seconds
from . import plan_form, run_actions
from .costs import costs
from .desk import Desk
from .drafts import Drafts
from .estimates import Estimate, Estimates
from .times import TIMES


def add(desk: Desk) -> None:
    """Register them."""
    web, estimates, drafts = desk.web, Estimates(), Drafts(desk.federation)

    def form_page(request: Request, values: dict[str, Any], **said: Any) -> Response:
        members = [one.name for one in desk.members.members() if one.state == "admitted"]
        content = {"fields": plan_form.FIELDS, "values": values, "members": members, "error": None, **said}
        content.setdefault("chosen", members)
        content.setdefault("estimate", None)
        status = 400 if content["error"] else 200
        return web.page(request, "plan-new.html.j2", status, **_shown(content))

    def planned(form: Form) -> tuple[Plan, str]:
        from ..planned import planned as make  # networks with it, which no other page needs

        wanted, sites = plan_form.wanted(form)
        schema = desk.federation.schema
        plan = make(desk.federation, wanted, sites)
        return plan, plan_form.name_of(wanted, plan.federation.names, schema.hash)

    @web.get("/plans")
    def plans(request: Request) -> Response:
        runs = {run.key: run for run in desk.runs.all()}
        waiting = [(key, plan) for key, plan in drafts.all().items() if key not in runs]
        return web.page(request, "plans.html.j2", drafts=waiting, runs=list(runs.values()))

    if not web.read_only:

        @web.get("/plans/new")
        def new(request: Request) -> Response:
            members = [one for one in desk.members.members() if one.state == "admitted"]
            return form_page(request, plan_form.usual(len(members)))

    @web.get("/plans/{key}")
    def plan(request: Request, key: str) -> Response:
        return _plan_page(desk, estimates, request, drafts.get(key), None, {})

    @web.get("/plans/{key}/estimate")
    def plan_estimate(request: Request, key: str) -> Response:
        found = drafts.get(key)
        one = estimates.of(found.hash, found, desk.federation.schema)
        return web.fragment(
            request, "estimate.html.j2", **_shown({"estimate": one, "again": f"/plans/{key}/estimate"})
        )

    @web.get("/estimates/{name}")
    def estimate(request: Request, name: str) -> Response:
        return web.fragment(
            request,
            "estimate.html.j2",
            **_shown({"estimate": estimates.get(name), "again": f"/estimates/{name}"}),
        )

    @web.action("/plans/new")
    def make(request: Request, form: Form) -> Response:
        try:
            made, name = planned(form)
            drafts.keep(made)
        except FedcganError as error:
            return form_page(request, dict(form), chosen=form.all(plan_form.SITES), error=error)
        estimates.also(made.hash, name)
        return see_other(f"/plans/{made.hash[:12]}")

    @web.action("/plans/new/estimate")
    def measure(request: Request, form: Form) -> Response:
        found: dict[str, Any] = {"estimate": None, "again": "", "error": None}
        try:
            made, name = planned(form)
            found["estimate"] = estimates.of(name, made, desk.federation.schema)
            found["again"] = f"/estimates/{name}"
        except FedcganError as error:
            found["error"] = error
        if is_htmx(request):
            return web.fragment(request, "estimate.html.j2", **_shown(found))
        return form_page(request, dict(form), chosen=form.all(plan_form.SITES), **found)

    @web.action("/plans/{key}/start")
    def start(request: Request, form: Form) -> Response:
        found = drafts.get(request.path_params["key"])
        try:
            times = Times(*(seconds(form.get(one.name, "") or one.usual) for one in TIMES))
            if form.get("sure") != "yes":
                raise NotApprovedError("say that the plan may be sent to the sites", hint="the box above")
            key = run_actions.start(desk, found, times)
        except FedcganError as error:
            return _plan_page(desk, estimates, request, found, error, dict(form))
        return see_other(f"/runs/{key}")


def _plan_page(
    desk: Desk,
    estimates: Estimates,
    request: Request,
    plan: Plan,
    error: FedcganError | None,
    values: dict[str, str],
) -> Response:
    key = plan.hash[:12]
    started = next((run for run in desk.runs.all() if run.key == key), None)
    content = {
        "plan": plan,
        "key": key,
        "started": started,
        "times": TIMES,
        "values": {**{one.name: one.usual for one in TIMES}, **values},
        "estimate": _estimate(desk, estimates, request, plan),
        "again": f"/plans/{key}/estimate",
        "error": error,
    }
    return desk.web.page(request, "plan.html.j2", 400 if error else 200, **_shown(content))


def _estimate(desk: Desk, estimates: Estimates, request: Request, plan: Plan) -> Estimate | None:
    """What is known; without a script, measuring begins by a link."""
    if request.query_params.get("estimate") == "yes":
        return estimates.of(plan.hash, plan, desk.federation.schema)
    return estimates.get(plan.hash)


def _shown(content: dict[str, Any]) -> dict[str, Any]:
    """With the estimate as rows."""
    one: Estimate | None = content.get("estimate")
    rows = costs(one.result) if one is not None and one.result is not None else []
    return {"again": "", "error": None, **content, "rows": rows}
