"""The site's own log and events: for its own eyes, they may name rows and columns."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from common.web.application import Web

from ..log_tail import LEVELS, Line, tail
from .state import State
from .words import event

LINES, EVENTS = 200, 50
"""That are shown, the latest."""


def add(web: Web, state: State) -> None:
    """Register the page."""

    @web.get("/log")
    def log(request: Request, level: str = "") -> Response:
        levels = LEVELS[LEVELS.index(level) :] if level in LEVELS else ()
        raw = tail(state.folder / "site.log", LINES, levels)
        state.events.refresh()
        runs = state.runs
        happened = [(one.time, event(one, runs)) for one in state.events.latest[:EVENTS]]
        lines = [Line.of(one) for one in reversed(raw)]
        return web.page(
            request, "log.html.j2", lines=lines, happened=happened, level=level, levels=LEVELS, most=LINES
        )
