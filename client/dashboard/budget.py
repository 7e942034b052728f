"""The ledger: everything ever spent on this site's records, and whether its chain holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from common.web import charts
from common.web.application import Web

from ..spending import MOST_GROUPS, Spending
from .later import Known
from .state import State
from .words import when


def add(web: Web, state: State) -> None:
    """Register the page and the part that is asked for again until it is there."""

    def context(patience: float) -> dict[str, Any]:
        spending = state.spending.get(state.spent_key, patience)
        verified = state.verified.get(state.spent_key, patience)
        spent = spending.value
        return {
            "spending": spending,
            "verified": verified,
            "groups": list(reversed(spent.groups))[:MOST_GROUPS] if spent else [],
            "chart": _chart(spending) if spent and len(spent.points) > 1 else None,
            "runs": state.runs,
            "pending": not (spending.fresh and verified.fresh),
        }

    @web.get("/budget")
    def budget(request: Request) -> Response:
        return web.page(request, "budget.html.j2", **context(0.1))

    @web.get("/budget/part")
    def part(request: Request) -> Response:
        return web.fragment(request, "budget-part.html.j2", **context(0.5))


def _chart(known: Known[Spending]) -> object:
    """The staircase of epsilon over time, against the cap."""
    spent = known.value
    assert spent is not None
    times = np.array([datetime.fromisoformat(time).timestamp() for time, _, _ in spent.points])
    values = np.array([value for _, _, value in spent.points])
    times, values = np.append(times[0], times), np.append(0.0, values)  # the first step goes up from nothing
    first, last = spent.points[0][0], spent.points[-1][0]
    return charts.curves(
        "ε of everything charged so far",
        [charts.Series("spent", times, values, f"ε {spent.spent:.3f}")],
        unit="time (UTC)",
        target=(spent.cap, "the site's cap"),
        steps=True,
        ends=(when(first), when(last)),
    )
