"""A site's dashboard: its pages, on what both dashboards stand on."""

from __future__ import annotations

from pathlib import Path

from common.web import playground
from common.web.application import Web, create

from . import budget, check, home, log, machine, outbox, plans, releases_page, standing_page
from .state import State
from .words import FILTERS

NAV = (
    ("Home", "/"),
    ("Plans", "/plans"),
    ("Data check", "/check"),
    ("Budget", "/budget"),
    ("Outbox", "/outbox"),
    ("Log", "/log"),
    ("Machine", "/machine"),
    ("Releases", "/releases"),
    ("Playground", "/playground"),
    ("Standing", "/standing"),
)

_HERE = Path(__file__).parent


def make(folder: Path, *, read_only: bool, port: int) -> Web:
    """The dashboard of the site in ``folder``, for ``common.web.serving``.

    Raises ConfigError unless the folder is a site's and its owner is this process's user.
    """
    state = State(folder)
    web = create(
        f"Site {state.site.name}",
        NAV,
        read_only=read_only,
        templates=_HERE / "templates",
        static=_HERE / "static",
        port=port,
    )
    web.app.state.site = state
    web.templates.filters.update(FILTERS)
    for page in (home, plans, check, budget, outbox, log, machine, releases_page, standing_page):
        page.add(web, state)
    playground.add(web, state.releases.find)
    return web
