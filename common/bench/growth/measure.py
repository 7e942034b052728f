"""Cost along one axis: medians over repetitions with their spread, and the laws that fit them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from ...errors import FedcganError
from ...terminal import output
from ..scale import Schedule
from .axes import AXES, Along
from .law import Law, law

_MACHINE = 16 << 30
"""Bytes of the machine that ``holds`` speaks of."""


def measure(
    along: Along, values: Sequence[int] | None, schedule: Schedule, repeats: int, enough: float
) -> dict[str, Any]:
    """Figures along an axis as JSON-ready content. A value that is refused stays in it, with its error.

    values: those of the axis if None; repeats: of each value at most; enough: seconds after which a value is
    not measured again
    """
    axis = AXES[along]
    load = os.getloadavg()[0]
    points = [_point(along, value, schedule, repeats, enough) for value in sorted(values or axis.values)]
    return {
        "along": along.value,
        "schedule": schedule,
        "fixed": axis.fixed,
        "repeats": repeats,
        "enough_seconds": enough,
        "points": points,
        "laws": laws(points),
        "load_before": round(load, 2),
    }


def _point(along: Along, value: int, schedule: Schedule, repeats: int, enough: float) -> dict[str, Any]:
    runs: list[dict[str, Any]] = []
    start = time.monotonic()
    while len(runs) < repeats and (not runs or time.monotonic() - start < enough):
        try:
            runs.append(AXES[along].point(value, schedule))
        except FedcganError as error:
            return {"value": value, "runs": len(runs), "error": f"{error.code}: {error}"}
    return {"value": value, "runs": len(runs), "error": None, **medians(runs)}


def medians(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of all figures of runs of one value; spread: smallest and largest of the whole time and of memory."""
    first = runs[0]
    found: dict[str, Any] = {
        part: {key: _median([run[part][key] for run in runs]) for key in first[part]}
        for part in ("seconds", "bytes")
    }
    peaks, wholes = ([run["peak_bytes"] for run in runs], [run["seconds"]["whole"] for run in runs])
    spread = {"whole": [min(wholes), max(wholes)], "peak_bytes": [min(peaks), max(peaks)]}
    return {**found, "peak_bytes": round(_median(peaks)), "spread": spread}


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 4)


def laws(points: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any] | None]:
    """The law of each figure, over the points that have it; None where there is none."""
    found: dict[str, dict[str, Any] | None] = {}
    for name, costs in figures(points).items():
        fitted = law(list(costs), list(costs.values()))
        found[name] = None if fitted is None else {**asdict(fitted), **_holds(name, fitted)}
    return found


def figures(points: Sequence[dict[str, Any]]) -> dict[str, dict[float, float]]:
    """By name (``seconds KEY``, ``bytes KEY``, ``peak bytes``): cost by value, where measured."""
    found: dict[str, dict[float, float]] = {}
    for point in points:
        if point["error"] is None:
            costs = {
                f"{part} {key}": cost for part in ("seconds", "bytes") for key, cost in point[part].items()
            }
            for name, cost in {**costs, "peak bytes": point["peak_bytes"]}.items():
                found.setdefault(name, {})[point["value"]] = cost
    return found


def _holds(name: str, fitted: Law) -> dict[str, Any]:
    """Of memory: the value at which the law reaches 16 GiB, beyond what was measured or not."""
    return {"holds": fitted.reaches(_MACHINE)} if name == "peak bytes" else {}


def print_table(result: dict[str, Any]) -> None:
    """For people."""
    costs = figures(result["points"])
    table = Table(title=result["fixed"], box=None, pad_edge=False)
    for heading in (result["along"], *map(_heading, costs)):
        table.add_column(heading, justify="right")
    for point in result["points"]:
        value = point["value"]
        cells = [_shown(name, found[value]) if value in found else "-" for name, found in costs.items()]
        table.add_row(f"{value:,}", *(cells if point["error"] is None else [point["error"]]))
    exponents = ["-" if (one := result["laws"][name]) is None else f"{one['exponent']:.2f}" for name in costs]
    table.add_row("exponent", *exponents, style="bold")
    output.print(table)
    memory = result["laws"].get("peak bytes")
    if memory and memory["holds"]:
        output.print(
            f"16 GiB would hold {memory['holds']:,.0f} {result['along']} by the fitted law; "
            f"measured from {memory['least']:,.0f} to {memory['most']:,.0f}",
            highlight=False,
        )


def _heading(name: str) -> str:
    kind, _, what = name.partition(" ")
    if kind == "seconds":
        return f"{what} s".replace("_", " ")
    return ("peak MiB" if kind == "peak" else f"{what} MiB").replace("_", " ")


def _shown(name: str, cost: float) -> str:
    if name.startswith("seconds"):
        return f"{cost:.2f}"
    return f"{cost / 2**20:,.{0 if name.startswith('peak') else 2}f}"
