"""The machine: on what gradients are computed, and how busy it is."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from common.web import charts
from common.web.application import Web
from common.web.charts import Bar

from ..machine_load import Load, load
from .state import State


def add(web: Web, state: State) -> None:
    """Register the page and its part, which is asked for again and again."""

    def context() -> dict[str, Any]:
        now = load(state.folder, state.site.policy.device)
        return {"load": now, "averages": _averages(now), "room": _room(now)}

    @web.get("/machine")
    def machine(request: Request) -> Response:
        return web.page(request, "machine.html.j2", **context())

    @web.get("/machine/part")
    def part(request: Request) -> Response:
        return web.fragment(request, "machine-part.html.j2", **context())


def _averages(now: Load) -> object:
    rows = [
        Bar(f"last {minutes} min", value, f"{value:.2f}", "inconclusive" if value > now.cores else "")
        for minutes, value in zip((1, 5, 15), now.averages, strict=True)
    ]
    return charts.bars("Processes that wanted to run", rows, mark=(float(now.cores), f"{now.cores} cores"))


def _room(now: Load) -> object:
    """Shares in use."""
    rows = [_part("disk", now.disk - now.disk_free, now.disk)]
    if now.memory:
        rows.insert(0, _part("memory", now.memory - min(now.free, now.memory), now.memory))
    for number, gpu in enumerate(now.gpus):
        rows.append(_part(f"GPU {number} memory", gpu.used, gpu.total))
        if gpu.busy is not None:
            rows.append(Bar(f"GPU {number} busy", gpu.busy, f"{gpu.busy:.0%}"))
    return charts.bars("In use", rows, mark=(1.0, "all there is"))


def _part(label: str, used: int, total: int) -> Bar:
    share = used / max(total, 1)
    return Bar(label, share, f"{share:.0%}", "failed" if share > 0.95 else "")
