"""Whether this site could take part: made on demand, in the background; nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from common.web import live
from common.web.application import Form, Web, see_other

from ..proposals import Proposals
from .state import State


def add(web: Web, state: State) -> None:
    """Register the page, its live part, and the button."""

    def context() -> dict[str, Any]:
        return {"check": state.checking.last, "runs": state.runs}

    @web.get("/check")
    def check(request: Request, plan: str = "") -> Response:
        asked = [entry for entry in reversed(state.plans) if entry.plan and entry.standing != "refused"]
        return web.page(request, "check.html.j2", asked=asked, chosen=plan, **context())

    @web.get("/check/live")
    def lively(request: Request) -> Response:
        shown: object = None

        def news() -> Mapping[str, str]:
            nonlocal shown
            if (now := state.checking.last) == shown:
                return {}
            shown = now
            return {"check": web.render(request, "check-part.html.j2", **context())}

        return live.events(request, news, every=0.3)

    @web.action("/check")
    def begin(request: Request, form: Form) -> Response:
        del request
        wanted = form.get("plan", "")
        state.checking.start(Proposals(state.folder).find(wanted) if wanted else "")
        return see_other("/check")
