"""A dashboard: pages by FastAPI and Jinja, behind one guard; what it can do is registered as actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..errors import FedcganError
from ..sampler.errors import SamplerError
from .answers import see_other
from .door import add_door
from .forms import Form
from .guard import Guard
from .refusals import RefusalError
from .rendering import TEMPLATES, environment
from .sessions import Sessions
from .statics import FOLDER, Statics

__all__ = ["Form", "Web", "create", "see_other"]

Route = TypeVar("Route", bound=Callable[..., Any])
Action = Callable[[Request, Form], Response]


@dataclass(frozen=True, slots=True, eq=False)
class Web:
    """A dashboard under construction. nav: of every page, (label, path); port: the only one it answers on

    read_only: actions are not registered, and pages show no forms
    """

    app: FastAPI
    title: str
    nav: Sequence[tuple[str, str]]
    read_only: bool
    port: int
    sessions: Sessions
    statics: Statics
    templates: Environment

    def get(self, path: str) -> Callable[[Route], Route]:
        """Decorator of a page: a function of the request, and of typed parts of the path and the query."""
        return self.app.get(path, response_model=None, response_class=HTMLResponse)

    def action(self, path: str) -> Callable[[Action], Action]:
        """Decorator of what a form does: a function of the request and the form, run in a thread.

        It is called only for our own pages in a session (``guard``); in read-only mode it does not exist.
        """

        def register(function: Action) -> Action:
            if not self.read_only:

                def act(request: Request) -> Response:
                    return function(request, request.state.form)

                self.app.post(path, response_model=None)(act)
            return function

        return register

    def render(self, request: Request, template: str, **context: Any) -> str:
        """A template as HTML: of a page, a part of one, or an event for ``live.events``."""
        return self.templates.get_template(template).render({**self._common(request), **context})

    def page(self, request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """A whole page: a template that extends ``layout.html.j2``."""
        return HTMLResponse(self.render(request, template, **context), status)

    def fragment(self, request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
        """A part of a page, for htmx to put in its place: a template that extends nothing."""
        return HTMLResponse(self.render(request, template, **context), status)

    def refusal(self, request: Request, refused: RefusalError) -> Response:
        """What was refused, as a page or, asked for by htmx, as a part of one."""
        template = "refusal-part.html.j2" if is_htmx(request) else "refusal.html.j2"
        return self.page(request, template, refused.status, refused=refused)

    def _common(self, request: Request) -> Mapping[str, Any]:
        session = request.state.session
        return {
            "web": self,
            "current": self._current(request.url.path),
            "signed_in": session is not None,
            "csrf_token": session.csrf if session is not None else "",
            "read_only": self.read_only,
            "static": self.statics.address,
        }

    def _current(self, path: str) -> str:
        """The page of the navigation that a page belongs to: the longest path that begins its own."""
        over = [one for _, one in self.nav if path == one or (path + "/").startswith(one.rstrip("/") + "/")]
        over = [one for one in over if one != "/" or path == "/"]
        return max(over, key=len, default="")


def is_htmx(request: Request) -> bool:
    """Whether a part of a page is asked for, not a page."""
    return request.headers.get("hx-request") == "true"


def create(
    title: str,
    nav: Sequence[tuple[str, str]],
    *,
    read_only: bool,
    templates: Path,
    port: int,
    static: Path | None = None,
) -> Web:
    """An empty dashboard. templates, static: folders of its own, beside ours

    nav: (label, path) of the pages that each page leads to; port: where ``serving.serve`` will listen
    """
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)
    statics = Statics([FOLDER, *([] if static is None else [static])])
    web = Web(app, title, tuple(nav), read_only, port, Sessions(), statics, environment(templates, TEMPLATES))
    app.get("/static/{name}", response_model=None)(statics.answer)
    add_door(web)
    _explain_errors(web)
    app.add_middleware(Guard, sessions=web.sessions, port=port, refusal=web.refusal)
    return web


def _explain_errors(web: Web) -> None:
    """What goes wrong behind the guard becomes a page that says what to do, never a trace."""

    def typed(request: Request, error: Exception) -> Response:
        assert isinstance(error, FedcganError)
        return web.refusal(request, RefusalError(400, error.told, error.message, error.hint))

    def of_sampler(request: Request, error: Exception) -> Response:
        assert isinstance(error, SamplerError)
        return web.refusal(request, RefusalError(400, error.code, error.message, error.hint))

    def by_status(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = {
            404: "There is no such page.",
            405: "This cannot be done here." if web.read_only else "This page does not do that.",
        }
        hint = "this dashboard is read-only" if web.read_only and error.status_code == 405 else ""
        message = said.get(error.status_code, "This was refused.")
        return web.refusal(request, RefusalError(error.status_code, str(error.status_code), message, hint))

    def malformed(request: Request, error: Exception) -> Response:
        del error  # it repeats what was sent
        refused = RefusalError(
            400, "address", "This address is not understood.", "follow a link of these pages"
        )
        return web.refusal(request, refused)

    web.app.add_exception_handler(FedcganError, typed)
    web.app.add_exception_handler(SamplerError, of_sampler)
    web.app.add_exception_handler(HTTPException, by_status)
    web.app.add_exception_handler(RequestValidationError, malformed)
