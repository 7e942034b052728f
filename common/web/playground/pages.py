"""``/playground``: a release, a form, and what it gives at once. All is in the address, nothing is kept."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from ...sampler.errors import SamplerError
from ..answers import download, file_name
from ..application import Web, is_htmx
from .asked import read
from .controls import columns_of, controls
from .drawing import draw, most_of
from .files import FORMS, file, kind_of
from .shelf import Find, Generator, Shelf
from .shown import shown

PATH = "/playground"
_NOT_THE_SAME = ("release", "n", "seed", "again")  # of a file of the same records, which has its own


def address(release: str) -> str:
    """Where a release can be played with, for links to it."""
    return f"{PATH}?{urlencode({'release': release})}"


def add(web: Web, find: Find) -> None:
    """Register the pages. find: called for every page, so that a new release is there at once.

    Nothing here changes anything, so read-only dashboards have them, too.
    """
    shelf = Shelf(find)

    @web.get(PATH)
    def playground(request: Request) -> Response:
        names = shelf.names()
        release = request.query_params.get("release", names[0] if names else "")
        if not names:
            return web.page(request, "playground.html.j2", names=[], release="")
        found = shelf.get(release)
        drawn = _drawn(found, release, request.query_params)
        status = 400 if drawn["error"] else 200
        if is_htmx(request):
            answer = web.fragment(request, "playground-drawn.html.j2", status, part=True, **drawn)
            answer.headers["HX-Replace-Url"] = _address_of(request.query_params, drawn["seed"])
            return answer
        conditions, others = controls(found, request.query_params)
        facts: dict[str, Any] = {"facts": found.facts, "conditions": conditions, "others": others}
        facts |= {
            "names": names,
            "query": request.query_params,
        }
        return web.page(request, "playground.html.j2", status, part=False, **facts, **drawn)

    @web.get(f"{PATH}/file")
    def keep(request: Request) -> Response:
        query = request.query_params
        release, form = query.get("release", ""), query.get("as", "")
        found = shelf.get(release)
        asked = read(query, columns_of(found), most_of(found).usual, most_of(found, form).kept)
        name = f"{file_name(release)}-synthetic-{asked.seed}"
        content, name, media_type = file(found, draw(found, asked), form, name)
        return download(content, name, media_type)


def _address_of(query: QueryParams, seed: str) -> str:
    """Of the same records, to be kept or sent."""
    same = [(key, value) for key, value in query.multi_items() if value and key not in ("seed", "again")]
    return f"{PATH}?{urlencode([*same, ('seed', seed)])}"


def _drawn(found: Generator, release: str, query: QueryParams) -> dict[str, Any]:
    """Records and what a page says of them, or the error that is shown instead."""
    most, kind = most_of(found), kind_of(found)
    content = {"release": release, "kind": kind, "most": most, "forms": FORMS[kind], "error": None}
    try:
        asked = read(query, columns_of(found), most.usual, most.shown)
        records = shown(found, draw(found, asked))
    except SamplerError as error:
        return {**content, "error": error, "seed": query.get("seed", "0")}
    same = [(key, value) for key, value in query.multi_items() if key not in _NOT_THE_SAME]
    again = bool(query.get("again"))
    return {**content, **records, "asked": asked, "seed": str(asked.seed), "again": again, "same": same}
