"""The page of a run, and what it loads: live news, samples, all sites."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from common.errors import FedcganError
from common.web import live
from common.web.forms import whole_number

from . import journey, lights, samples
from .desk import Desk
from .parts import digests
from .runs import Run


def run_page(desk: Desk, request: Request, run: Run, error: FedcganError | None = None) -> Response:
    """The page of a run. ?look=N shows an earlier look at the generator."""
    parts = desk.parts(run).now(request)
    place = whole_number(request.query_params.get("look"))
    shown = parts["shown"]
    if place is not None:
        with run.lock:
            look = samples.look(run, place)
        shown = desk.web.render(request, "part-shown.html.j2", run=run, look=look, following=False)
    return desk.web.page(
        request,
        "run.html.j2",
        400 if error else 200,
        parts={name: Markup(html) for name, html in parts.items()},  # noqa: S704 - of our own templates
        shown=Markup(shown),  # noqa: S704
        following=place is None,
        seen=digests(parts),
        error=error,
        **_actions(desk, run),
    )


def add(desk: Desk) -> None:
    """Register them."""
    web = desk.web

    @web.get("/runs")
    def runs(request: Request) -> Response:
        rows = []
        for run in desk.runs.all():
            run.look()
            with run.lock:
                rows.append((run, journey.sentence(run)))
        return web.page(request, "runs.html.j2", rows=rows)

    @web.get("/runs/{key}")
    def one(request: Request, key: str) -> Response:
        return run_page(desk, request, desk.runs.get(key))

    @web.get("/runs/{key}/live")
    def lively(request: Request, key: str) -> Response:
        run = desk.runs.get(key)
        seen = request.query_params.get("seen", "")
        return live.events(request, desk.parts(run).changes(request, seen))

    @web.get("/runs/{key}/actions")
    def actions(request: Request, key: str) -> Response:
        return web.fragment(request, "run-actions.html.j2", **_actions(desk, desk.runs.get(key)))

    @web.get("/runs/{key}/looks")
    def looked(request: Request, key: str) -> Response:
        run = desk.runs.get(key)
        with run.lock:
            look = samples.look(run, whole_number(request.query_params.get("look")))
        return web.fragment(request, "looked.html.j2", run=run, look=look, following=False)

    @web.get("/runs/{key}/samples/{place}")
    def sample(request: Request, key: str, place: int) -> Response:
        del request
        run = desk.runs.get(key)
        with run.lock:
            path = samples.file_of(run, place)
        if path is None or path.suffix != ".png":
            raise HTTPException(404)
        return FileResponse(path, media_type="image/png")

    @web.get("/runs/{key}/sites")
    def sites(request: Request, key: str) -> Response:
        run = desk.runs.get(key)
        with run.lock:
            every = lights.lights(run, most=len(run.view.sites))
        return web.page(request, "run-sites.html.j2", run=run, lights=every)


def _actions(desk: Desk, run: Run) -> dict[str, Any]:
    return {"run": run, "job": desk.jobs.get(run.key), "playground": desk.playground(run)}
