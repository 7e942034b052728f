"""Everything that ever left this site: the latest first, by plan and by day, with totals."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from common.web.application import Web

from .state import State

LINES = 50
"""Of a page."""

NO_PLAN = "none"
"""Of the filter: lines that belong to no plan."""


def add(web: Web, state: State) -> None:
    """Register the page."""

    @web.get("/outbox")
    def outbox(request: Request, plan: str = "", day: str = "", page: int = 1) -> Response:
        index = state.outbox
        index.refresh()
        wanted = None if not plan else "" if plan == NO_PLAN else plan
        found = index.find(wanted, _day(day) or None)
        pages = max(1, -(-found.total.frames // LINES))
        page = min(max(1, page), pages)
        last = found.total.frames - (page - 1) * LINES
        lines = index.lines(found.rows[max(0, last - LINES) : last])
        asked = {"plan": plan, "day": day}

        def address(number: int) -> str:
            return "/outbox?" + urlencode({**asked, "page": number})

        return web.page(
            request,
            "outbox.html.j2",
            found=found,
            lines=list(reversed(lines)),
            plans=list(reversed(index.plans)),
            days=(index.days[:1] + index.days[-1:]),
            runs=state.runs,
            plan=plan,
            day=day,
            number=page,
            pages=pages,
            newer=address(page - 1) if page > 1 else None,
            older=address(page + 1) if page < pages else None,
        )


def _day(text: str) -> str:
    """A day as lines have it; what is none is none of theirs."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return text
