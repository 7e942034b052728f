"""Releases at this site: what a verification says of each, and the way to play with it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from common.web.application import Web
from common.web.playground.pages import address

from .state import State


def add(web: Web, state: State) -> None:
    """Register the page and the part that is asked for again until all are verified."""

    def context() -> dict[str, Any]:
        found = state.releases.every()
        pending = any(not known.fresh for known in found.values())
        return {"releases": found, "folder": state.releases.folder, "address": address, "pending": pending}

    @web.get("/releases")
    def releases(request: Request) -> Response:
        return web.page(request, "releases.html.j2", **context())

    @web.get("/releases/part")
    def part(request: Request) -> Response:
        return web.fragment(request, "releases-part.html.j2", **context())
