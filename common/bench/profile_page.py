"""What the page of the demo's profile says: phases of each version side by side, and their functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .drawing import LINES, drawing, svg
from .kept import Kept
from .repeated import DASH

_SHOWN = 3  # functions of a phase
_LEAST = 0.5  # seconds of a phase whose functions are shown
_SCORES = {"tvd1": ("1-way TVD", 4), "tvd2": ("2-way TVD", 4), "tstr_auc": ("AUC", 3)}


def content(paths: Sequence[Path], prefix: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``profile.md.j2`` is given, and its picture by file name. Raises ConfigError for a damaged file.

    paths: results of ``fedcgan bench profile``; the slowest version is the first
    """
    kept = sorted((Kept.load(path) for path in paths), key=lambda one: -one.data["cpu"][0])
    phases = list(dict.fromkeys(row["phase"] for one in kept for row in one.data["phases"]))
    found = [{row["phase"]: row for row in one.data["phases"]} for one in kept]
    file, names = f"{prefix}-phases.svg", [str(one.data["name"]) for one in kept]
    given = {
        "names": names,
        "phases": [
            [phase, *(cell for rows in found for cell in _cells(rows.get(phase)))] for phase in phases
        ],
        "whole": [cell for one in kept for cell in _cells(one.data)],
        "quality": [
            [words, *(_range(one.data["quality"][score], digits) for one in kept)]
            for score, (words, digits) in _SCORES.items()
        ],
        "versions": [_version(one) for one in kept],
        "picture": f"![Processor seconds of each phase of the demo, by version]({file})",
    }
    return given, {file: picture(names, phases, found)}


def _cells(row: dict[str, Any] | None) -> list[str]:
    return [DASH, DASH] if row is None else [_range(row[which], 1) for which in ("seconds", "cpu")]


def _version(one: Kept) -> dict[str, Any]:
    return {
        "name": one.data["name"],
        "functions": [
            [row["phase"], f"`{name}`", f"{calls:,}", f"{whole:.2f}", f"{own:.2f}"]
            for row in one.data["phases"]
            if row["cpu"][0] >= _LEAST
            for name, calls, whole, own in [*row["ours"][:_SHOWN], *row["own"][:_SHOWN]]
        ],
        "encryption": _range(_sums(one.data["encryption_seconds"].values()), 2),
        "repeats": one.data["repeats"],
        **one.source,
    }


def _sums(parts: Iterable[Sequence[float]]) -> list[float]:
    return [sum(values) for values in zip(*parts, strict=True)]


def _range(values: Sequence[float], digits: int) -> str:
    median, least, most = (f"{value:.{digits}f}" for value in values)
    return median if least == most else f"{median} ({least}{DASH}{most})"


def picture(names: list[str], phases: list[str], found: list[dict[str, Any]]) -> str:
    """SVG: a bar of processor seconds for each phase and version; the same figures give the same text."""
    thick = 0.8 / len(names)
    with drawing(9, 1.2 + 0.34 * len(phases), "fedcgan profile") as figure:
        axes = figure.subplots()
        for number, (name, rows) in enumerate(zip(names, found, strict=True)):
            places = [place + (number - (len(names) - 1) / 2) * thick for place in range(len(phases))]
            widths = [rows[phase]["cpu"][0] if phase in rows else 0.0 for phase in phases]
            axes.barh(places, widths, height=thick * 0.9, color=LINES[number % len(LINES)], label=name)
        axes.set_yticks(range(len(phases)), phases)
        axes.invert_yaxis()
        axes.set_xlabel("processor seconds")
        axes.legend(frameon=False)
        return svg(figure)
