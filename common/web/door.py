"""The way in and out: ``/enter`` uses the one-time link, ``/leave`` ends the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from .answers import see_other
from .guard import ENTER, cookie_of
from .refusals import RefusalError

if TYPE_CHECKING:
    from .application import Web


def link(port: int, token: str) -> str:
    """What a person opens."""
    return f"http://127.0.0.1:{port}{ENTER}?token={token}"


def add_door(web: Web) -> None:
    """Register both."""
    cookie = cookie_of(web.port)

    def enter(request: Request) -> Response:
        if "prefetch" in request.headers.get("sec-purpose", request.headers.get("purpose", "")):
            early = RefusalError(503, "prefetch", "This link is not opened ahead of time.", "open the link")
            return web.refusal(request, early)
        found = web.sessions.enter(request.query_params.get("token", ""))
        if found is None:
            hint = (
                "every link opens one browser, once; the terminal where the dashboard runs shows a fresh one"
            )
            return web.refusal(
                request, RefusalError(403, "link-used", "This link was used, or is not ours.", hint)
            )
        answer: Response = see_other("/")
        if request.headers.get("sec-fetch-site") == "cross-site":
            # A Strict cookie does not follow a redirect that another site began; from a page of ours it does.
            answer = web.page(request, "entered.html.j2")
        # without an age, so that a browser that is closed forgets it
        answer.set_cookie(cookie, found[0], path="/", httponly=True, samesite="strict")
        return answer

    def leave(request: Request) -> Response:
        web.sessions.leave(request.cookies.get(cookie, ""))
        request.state.session = None
        answer = web.page(request, "left.html.j2")
        answer.delete_cookie(cookie, path="/", httponly=True, samesite="strict")
        return answer

    web.app.get(ENTER, response_model=None)(enter)
    web.app.post("/leave", response_model=None)(leave)
