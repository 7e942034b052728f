"""What the page of speed says: a step with DP beside one without, and what else takes time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .dp_steps import OURS, PLAIN, WIDE
from .drawing import INK, MUTED, THEIRS, drawing, svg
from .drawing import OURS as COLOUR
from .kept import Kept
from .repeated import DASH

_TARGET = 1.6


def content(paths: Sequence[Path], prefix: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``speed.md.j2`` is given, and pictures by file name. Raises ConfigError for a damaged file.

    paths: results of ``fedcgan bench speed``; prefix: of the pictures' names
    """
    parts, pictures = [], {}
    for path, one in ((path, Kept.load(path)) for path in paths):
        name = f"{prefix}-{path.stem}.svg"
        pictures[name] = picture(one.data["d_step"])
        parts.append(_part(one, name))
    return {"parts": parts, "target": _TARGET}, pictures


def _part(one: Kept, picture_name: str) -> dict[str, Any]:
    data, machine = one.data, one.machine
    rows = data["d_step"]
    networks = list(dict.fromkeys(row["network"] for row in rows))
    return {
        "name": f"{machine.system} on {machine.kind}",
        "picture": f"![Ratio of a step's time to that of the same step without DP, by way]({picture_name})",
        "repeats": data["repeats"],
        "threads": data["threads"],
        "networks": [
            (name, [_cells(row, rows) for row in rows if row["network"] == name]) for name in networks
        ],
        "met": _met(rows),
        "rest": _rest(data),
        **one.source,
    }


def _cells(row: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    wide = _other(row, rows, WIDE)["seconds"]
    return [
        str(row["batch"]),
        f"**{row['way']}**" if row["way"] == OURS else row["way"],
        _range([1e3 * row[which] for which in ("seconds", "fastest", "slowest")], 1),
        _range(row["ratios"], 2),
        f"{row['seconds'] / wide:.2f}",
    ]


def _other(row: dict[str, Any], rows: list[dict[str, Any]], way: str) -> dict[str, Any]:
    where = ("network", "batch")
    return next(one for one in rows if one["way"] == way and all(one[key] == row[key] for key in where))


def _range(values: Sequence[float], digits: int) -> str:
    median, least, most = (f"{value:,.{digits}f}" for value in values)
    return f"{median} ({least}{DASH}{most})"


def _met(rows: list[dict[str, Any]]) -> str:
    """Where the target is met, and what float64 alone costs where it is not."""
    ours = [row for row in rows if row["way"] == OURS]
    met = [row for row in ours if row["ratios"][0] <= _TARGET]
    rest = [row for row in ours if row not in met]
    said = f"At most {_TARGET} times the step without DP: in {len(met)} of {len(ours)} cases."
    if not rest:
        return said
    alone = [_other(row, rows, WIDE)["ratios"][0] for row in rest]
    beyond = [row["seconds"] / _other(row, rows, WIDE)["seconds"] for row in rest]
    return (
        f"{said} Elsewhere the same step without DP takes {min(alone):.2f} to {max(alone):.2f} times as "
        f"long in float64 as in float32, and with DP {min(beyond):.2f} to {max(beyond):.2f} times that."
    )


def _rest(data: dict[str, Any]) -> list[list[str]]:
    """Everything that is no step of D: what, median with range, what it comes to."""
    rows = []
    for row in data["features"]:
        whole = f"{row['records_per_second']:,} records/s"
        rows.append([f"features of the measure phase, {row['network']}", _seconds(row), whole])
    for row in data["fit_step"]:
        whole = f"at most {row['steps']} steps, {row['seconds'] * row['steps']:.0f} s"
        rows.append([f"a step of the fit, {row['network']}", _seconds(row), whole])
    if (sampling := data["sampling"]) is not None:
        whole = f"{sampling['records_per_second']:,} records/s"
        rows.append([f"sampling {sampling['records']:,} records", _seconds(sampling), whole])
    if (runs := data["runs"]) is not None:
        for engine, row in runs["engines"].items():
            told = [row["skipped"], ""] if "skipped" in row else [_seconds(row), "on the clock"]
            rows.append([f"a run of {runs['sites']} sites, engine `{engine}`", *told])
        share = _range([100 * value for value in runs["encryption_share"]], 1)
        rows.append(["encryption's share of such a run in one process", f"{share} %", "of the clock"])
    rows.append(["`fedcgan --help`", _seconds(data["help"]), "on the clock"])
    return rows


def _seconds(row: dict[str, Any]) -> str:
    return _range([row[which] for which in ("seconds", "fastest", "slowest")], 3) + " s"


def picture(rows: list[dict[str, Any]]) -> str:
    """SVG: for each network the ratio of every way by batch, and the target dashed."""
    networks = list(dict.fromkeys(row["network"] for row in rows))
    ways = [way for way in dict.fromkeys(row["way"] for row in rows) if way != PLAIN][::-1]
    batches = sorted({row["batch"] for row in rows})
    markers = dict(zip(batches, "os^Dv<>ph*", strict=False))
    with drawing(9, 1.6 + 0.34 * len(ways), "fedcgan speed") as figure:
        panels = figure.subplots(1, len(networks), sharey=True, squeeze=False)[0]
        for axes, network in zip(panels, networks, strict=True):
            for row in rows:
                if row["network"] == network and row["way"] in ways:
                    colour = COLOUR if row["way"] == OURS else THEIRS
                    place, marker = ways.index(row["way"]), markers[row["batch"]]
                    axes.plot(row["ratios"][1:], [place, place], color=colour, linewidth=1, alpha=0.6)
                    axes.plot([row["ratios"][0]], [place], marker, color=colour, markersize=6)
            axes.axvline(1, color=INK, linewidth=1)
            axes.axvline(_TARGET, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_xscale("log")
            axes.set_xticks(ticks := [1, 2, 5, 10, 20, 50], [str(tick) for tick in ticks])
            axes.minorticks_off()
            axes.set_title(network, fontsize=10)
            axes.set_yticks(range(len(ways)), ways)
            axes.set_ylim(-0.6, len(ways) - 0.4)
        told = ", ".join(f"{marker} {batch}" for batch, marker in markers.items())
        figure.supxlabel(f"times the step without DP in float32; batches: {told}", fontsize=10)
        return svg(figure)
