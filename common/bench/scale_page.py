"""What the page of scale says: cost along each axis, its laws, and what a network adds, from kept results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .growth.law import Law
from .growth.measure import figures
from .kept import Kept, place
from .league.page import plain
from .network_model import Cell, NetworkModel, fitted
from .scale_picture import picture

_AXES = ("sites", "parameters", "classes", "columns", "records")
_LAW = tuple(Law.__dataclass_fields__)
_SITES = (3, 10, 50, 200, 500)
_NETWORKS = ((0.02, 1000.0), (0.1, 100.0), (0.3, 10.0))
"""Round trip in seconds and megabits a second, of a site; the coordinator's link is 1000."""

_SHARED = 1000.0
_PAYLOADS = (("a table, 0.5 MB", 0.5e6), ("networks of 420,000 values, 6 MB", 6e6))


def content(paths: Sequence[Path], prefix: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``scale.md.j2`` is given, and pictures by file name. Raises ConfigError for another bench's file.

    prefix: of the pictures' names
    """
    results = [Kept.load(path) for path in paths]
    pictures: dict[str, str] = {}
    grown = [one for one in results if one.bench == "scale" and "along" in one.data]
    runs = [one for one in results if one.bench == "deployment"]
    if others := len(results) - len(grown) - len(runs):
        raise ConfigError(f"{others} of the files are neither of bench scale --along nor of bench deployment")
    grown.sort(key=lambda one: _AXES.index(one.data["along"]))
    runs.sort(
        key=lambda one: (one.data["sites"], one.data["round_trip_ms"] or 0.0, -(one.data["megabits"] or 1e9))
    )
    axes = [_axis(one, f"{prefix}-{number}", pictures) for number, one in enumerate(grown, 1)]
    return {"axes": axes, "network": _network(runs) if runs else None}, pictures


def _axis(one: Kept, name: str, pictures: dict[str, str]) -> dict[str, Any]:
    data = one.data
    costs = figures(data["points"])
    laws = {key: _read(law) for key, law in data["laws"].items()}
    file = f"{name}-{data['along']}.svg"
    if costs:
        pictures[file] = picture(data["along"], costs, laws)
    memory = data["laws"].get("peak bytes")
    return {
        **_source(one),
        "along": data["along"],
        "fixed": data["fixed"],
        "schedule": data["schedule"],
        "picture": f"![{plain('cost against ' + data['along'])}]({file})" if costs else "",
        "headings": [_heading(key) for key in costs],
        "rows": [_row(point, costs) for point in data["points"]],
        "laws": [_law(key, law) for key, law in laws.items() if law is not None],
        "holds": None if memory is None or not memory["holds"] else f"{memory['holds']:,.0f}",
        "most": None if memory is None else f"{memory['most']:,.0f}",
    }


def _read(law: dict[str, float] | None) -> Law | None:
    return None if law is None else Law(**{part: law[part] for part in _LAW})


def _source(one: Kept) -> dict[str, Any]:
    machine = one.machine
    return {
        **one.source,
        "machine": place(machine.system, machine.kind, machine.processors),
        "load": f"{one.data.get('load_before', machine.load):g}",
    }


def _heading(name: str) -> str:
    kind, _, what = name.partition(" ")
    unit = "s" if kind == "seconds" else "MiB"
    return plain(f"{what} {unit}".replace("_", " ") if kind != "peak" else "peak MiB")


def _row(point: dict[str, Any], costs: dict[str, dict[float, float]]) -> list[str]:
    value = point["value"]
    if point["error"] is not None:
        return [f"{value:,}", *[""] * len(costs), plain(point["error"])]
    cells = []
    for name, found in costs.items():
        spread = point["spread"].get({"seconds whole": "whole", "peak bytes": "peak_bytes"}.get(name, ""))
        cells.append(_said(name, found[value], spread) if value in found else "\u2013")
    return [f"{value:,}", *cells, str(point["runs"])]


def _said(name: str, cost: float, spread: list[float] | None) -> str:
    unit = 1.0 if name.startswith("seconds") else 2.0**20
    decimals = 0 if name.startswith("peak") else 2

    def shown(number: float) -> str:
        return f"{number / unit:,.{decimals}f}"

    if spread is None or spread[0] == spread[1]:
        return shown(cost)
    return f"{shown(cost)} ({shown(spread[0])} \u2013 {shown(spread[1])})"


def _law(name: str, law: Law) -> list[str]:
    unit = 1.0 if name.startswith("seconds") else 2.0**20
    grown = f"{law.fixed / unit:.3g} + {law.factor / unit:.3g} x^{law.power:g}"
    return [
        _heading(name),
        f"{law.exponent:.2f} ({law.low:.2f} \u2013 {law.high:.2f})",
        grown if law.grows else f"about {law.at(law.most) / unit:.3g}, hardly any growth",
        f"{100 * law.off:.0f} %" if law.grows else "",
    ]


def _network(runs: Sequence[Kept]) -> dict[str, Any]:
    slow = [one for one in runs if one.data["round_trip_ms"] is not None and one.data["megabits"] is not None]
    model = fitted([_cell(one.data) for one in slow])
    return {
        "source": _source(runs[0]),
        "commands": [one.command for one in runs],
        "rows": [_measured(one.data, model) for one in runs],
        "model": None
        if model is None
        else {
            "base": f"{model.base:.1f}",
            "trips": f"{model.trips:.0f}",
            "passes": f"{model.passes:.1f}",
            "off": f"{100 * model.off:.0f}",
            "rows": [_predicted(model, sites) for sites in _SITES],
            "headings": [
                f"{text}; {round(1000 * trip)} ms, {rate:g} Mbit/s"
                for text, _ in _PAYLOADS
                for trip, rate in _NETWORKS
            ],
        },
    }


def _cell(data: dict[str, Any]) -> Cell:
    return Cell(
        data["round_trip_ms"] / 1000, data["megabits"], data["seconds_per_sum"], data["sum_payload_bytes"]
    )


def _measured(data: dict[str, Any], model: NetworkModel | None) -> list[str]:
    trip, rate, seconds = data["round_trip_ms"], data["megabits"], data["seconds"]
    said = "\u2013"
    if model is not None and trip is not None and rate is not None:
        one = model.seconds(1, trip / 1000, rate, data["sum_payload_bytes"], rate)
        said = f"{one:.1f}"
    return [
        str(data["sites"]),
        "none" if trip is None else f"{trip:g}",
        "no limit" if rate is None else f"{rate:g}",
        f"{data['seconds_per_sum']:.1f}",
        said,
        f"{seconds.get('phase_keys', 0.0):.1f}",
        f"{seconds['run_to_first_contribution']:.0f}",
        f"{seconds['run_to_release']:.0f}",
        f"{data['load']['before']:.1f}",
    ]


def _predicted(model: NetworkModel, sites: int) -> list[str]:
    cells = [
        f"{model.seconds(sites, trip, rate, payload, _SHARED):.0f}"
        for _, payload in _PAYLOADS
        for trip, rate in _NETWORKS
    ]
    return [str(sites), *cells]
