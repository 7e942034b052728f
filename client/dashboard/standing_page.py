"""Whether the site acts: pause, go on, and farewell for good."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from common.errors import UsageError
from common.web.application import Form, Web, see_other

from .. import standing
from .state import State


def add(web: Web, state: State) -> None:
    """Register the page and what a steward can do."""
    folder, name = state.folder, state.site.name

    @web.get("/standing")
    def shown(request: Request) -> Response:
        acts, marker = standing.state(folder)
        keys = [str(path.relative_to(folder)) for path in standing.keys_of_runs(folder)]
        return web.page(request, "standing.html.j2", acts=acts, marker=marker, keys=keys, name=name)

    @web.action("/standing/pause")
    def pause(request: Request, form: Form) -> Response:
        del request
        standing.pause(folder, form.get("reason", ""))
        return see_other("/standing")

    @web.action("/standing/go-on")
    def go_on(request: Request, form: Form) -> Response:
        del request, form
        standing.unpause(folder)
        return see_other("/standing")

    @web.action("/standing/withdraw")
    def withdraw(request: Request, form: Form) -> Response:
        del request
        if form.get("name", "").strip() != name:
            raise UsageError("nothing was done: that is not this site's name", hint=f"type {name}")
        standing.withdraw(folder, form.get("reason", ""))
        return see_other("/standing")
