"""The coordinator's dashboard, put together."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from common.errors import StorageError
from common.web import playground
from common.web.application import Web, create

from ..starting import Engine
from . import plan_pages, release_pages, run_actions, run_pages, site_pages
from .desk import Desk
from .places import Shown
from .roll import Roll
from .runs import Runs

_HERE = Path(__file__).parent
_FEDERATION = (
    ("Sites", "/"),
    ("Plans", "/plans"),
    ("Runs", "/runs"),
    ("Releases", "/releases"),
    ("Playground", "/playground"),
)
_SIMULATION = (("Run", "/"), ("Release", "/releases"), ("Playground", "/playground"))


def dashboard(shown: Shown, engine: Engine | None, *, read_only: bool, port: int) -> Web:
    """All pages of what is shown.

    engine: that starts and stops runs, SuperLink in real life; None of a simulation
    read_only: nothing can be done, everything be seen
    """
    nav = _FEDERATION if shown.federation is not None else _SIMULATION
    web = create(
        shown.title,
        nav,
        read_only=read_only,
        templates=_HERE / "templates",
        port=port,
        static=_HERE / "static",
    )
    roll = None if shown.federation is None else Roll(shown.federation)
    desk = Desk(web, shown, Runs(shown), engine, roll)
    run_pages.add(desk)
    run_actions.add(desk)
    release_pages.add(desk)
    playground.add(web, desk.runs.generators)
    if shown.federation is None:
        _first_is_the_run(desk)
    else:
        site_pages.add(desk)
        plan_pages.add(desk)
    return web


def _first_is_the_run(desk: Desk) -> None:
    @desk.web.get("/")
    def home(request: Request) -> Response:
        found = desk.runs.latest()
        if found is None:
            raise StorageError("the simulation is being prepared", hint="load this page again in a moment")
        return run_pages.run_page(desk, request, found)
