"""The door: nothing passes that did not come from this machine's browser, by our own pages, in a session.

It stands before every route, so no route can forget it. What is no GET is an action and needs more: our own
origin (Fetch Metadata and Origin), a body that is a short form, and the session's CSRF token in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .forms import Form, read_form
from .headers import protect
from .refusals import RefusalError
from .sessions import Session, Sessions, same

FIELD, HEADER = "csrf", "X-CSRF-Token"
"""Where a form, or a request by htmx, carries the session's token."""

ENTER, STATIC = "/enter", "/static/"
"""What needs no session: the door itself, and files that say nothing about anybody."""

_SAFE = ("GET", "HEAD")
_LOG = logging.getLogger(__name__)

Refusal = Callable[[Request, RefusalError], Response]


def cookie_of(port: int) -> str:
    """The name of the session's cookie. Browsers share cookies between ports; names keep dashboards apart."""
    return f"fedcgan-{port}"


class Guard:
    """ASGI middleware. refusal: makes the page for a request that is turned away."""

    def __init__(self, app: ASGIApp, sessions: Sessions, port: int, refusal: Refusal) -> None:
        self._app, self._sessions, self._refusal = app, sessions, refusal
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = cookie_of(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        request, started = Request(scope, receive), False
        request.state.session, request.state.form = None, Form([])

        async def protected(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                protect(MutableHeaders(scope=message))
            await send(message)

        try:
            await self._admit(request)
            await self._app(scope, receive, protected)
        except RefusalError as refused:
            await self._refusal(request, refused)(scope, receive, protected)
        except ClientDisconnect:
            return  # nobody waits for an answer
        except Exception:
            if started:
                raise
            _LOG.exception("%s %r", request.method, scope["path"])  # no query: it can hold a token
            fault = RefusalError(
                500, "internal", "This page failed.", "a fault of ours: what went wrong is in the terminal"
            )
            await self._refusal(request, fault)(scope, receive, protected)

    async def _admit(self, request: Request) -> None:
        """Raises RefusalError. Leaves the session and, of an action, its form in ``request.state``."""
        if request.headers.getlist("host") not in [[host] for host in self._hosts]:
            raise RefusalError(
                400,
                "host",
                "This address is not the dashboard's.",
                "open the link that the terminal shows; through a tunnel, use the same port at both ends",
            )
        # what routes see; request.url.path ends at a quoted "?" and leaves out a quoted line feed
        path, safe = request.scope["path"], request.method in _SAFE
        if safe and (path == ENTER or path.startswith(STATIC)):
            return
        session = self._sessions.find(request.cookies.get(self._cookie, ""))
        if session is None:
            raise RefusalError(
                401,
                "no-session",
                "This browser has no session.",
                "open the link in the terminal where the dashboard runs; it opens one browser, once",
            )
        request.state.session = session
        if safe:
            self._check_reader(request)
        else:
            self._check_origin(request)
            request.state.form = await self._signed_form(request, session)

    def _check_reader(self, request: Request) -> None:
        """Another page may lead here; it may not load from here or frame it, nor may another port of ours."""
        fetched = request.headers.get("sec-fetch-site", "none")
        leads = request.headers.get("sec-fetch-mode") == "navigate"
        framed = request.headers.get("sec-fetch-dest", "document") != "document"
        if fetched not in ("none", "same-origin") and (framed or not leads):
            raise RefusalError(403, "origin", "Another page asked for this.", "open the dashboard itself")

    def _check_origin(self, request: Request) -> None:
        """An action comes from a page of ours: same scheme, same host, same port."""
        ours = [f"http://{request.headers['host']}"]
        fetched = request.headers.get("sec-fetch-site", "same-origin")
        if request.headers.getlist("origin") != ours or fetched != "same-origin":
            raise RefusalError(
                403, "origin", "Another page asked for this.", "use the dashboard's own buttons"
            )

    async def _signed_form(self, request: Request, session: Session) -> Form:
        form = await read_form(request)
        given = request.headers.get(HEADER) or form.get(FIELD, "")
        if not same(given, session.csrf):
            raise RefusalError(
                403, "csrf", "This form is not of this session.", "load the page again, then repeat it"
            )
        return form
