"""Charts of any run: privacy spent over time, utility by model family, the plane in which records lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from .groups import plain
from .svg import GROUND, INK, MUTED, REFERENCE, RULE, SYNTHETIC, axes, inline, sheet

_WIDTH = 420
_BAR = 15  # height of a bar in pixels


def spending(points: list[dict[str, Any]], target: float) -> Markup:
    """Epsilon after each step, as a staircase, with what was promised."""
    figure = sheet(_WIDTH, 230)
    cell = axes(figure, 40, 42, 14, 16)
    numbers = [0, *(point["number"] for point in points)]
    values = [0.0, *(point["epsilon"] for point in points)]
    if points[0]["number"] == 0:  # what earlier runs had spent before this one began
        numbers, values = numbers[1:], values[1:]
    cell.step(
        [*numbers, numbers[-1] + 0.6], [*values, values[-1]], where="post", color=SYNTHETIC, linewidth=2
    )
    if len(points) <= 12:
        cell.scatter(numbers[1:], values[1:], s=22, color=SYNTHETIC, zorder=3)
    cell.axhline(target, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    cell.text(
        numbers[-1] + 0.6, target, "promised at most", ha="right", va="bottom", color=MUTED, fontsize=10
    )
    cell.set_ylim(0, max(target, values[-1]) * 1.18)
    cell.set_xlim(0, numbers[-1] + 0.6)
    cell.set_ylabel("ε spent")
    cell.grid(axis="y")
    few = len(points) <= 7
    shown = points if few else [points[0], points[1], points[-1]]
    cell.set_xticks([point["number"] for point in shown], [_step(point["step"]) for point in shown])
    cell.set_xlabel("steps that touch records")
    steps = "; ".join(f"{point['step']}: {point['epsilon']:.3f}" for point in points[:12])
    return inline(
        figure, "spending", "Privacy spent over the steps of the run", f"ε after each step: {steps}"
    )


def _step(name: str) -> str:
    head, _, tail = name.partition("-")
    return f"{head} {int(tail)}" if tail.isdigit() else plain(name, 14)


def bars(figures: list[dict[str, Any]], name: str, title: str) -> Markup:
    """A bar for synthetic and one for real training records, with intervals, for each figure."""
    shown = [one for one in figures if one["value"] is not None]
    height = 34 + len(shown) * (2 * _BAR + 26)
    figure = sheet(_WIDTH, height)
    cell = axes(figure, 8, 26, 34, 4)
    most = max(
        [1.0, *(one["high"] or one["value"] for one in shown), *(one["reference"] or 0 for one in shown)]
    )
    cell.set_xlim(0, most)
    cell.set_ylim(len(shown) * (2 * _BAR + 26), 0)
    for place, one in enumerate(shown):
        top = place * (2 * _BAR + 26) + 18
        cell.text(0, top - 4, plain(one["title"], 62), fontsize=10.5, color=INK, va="bottom")
        _bar(cell, top + _BAR / 2, one["value"], one["low"], one["high"], SYNTHETIC, 1.0)
        if one["reference"] is not None:
            _bar(cell, top + 1.5 * _BAR + 1, one["reference"], None, None, REFERENCE, 0.55)
    cell.set_yticks([])
    cell.spines["left"].set_visible(False)
    cell.grid(axis="x")
    words = "; ".join(
        f"{one['title']}: {one['value']:.3f}"
        + ("" if one["reference"] is None else f", real {one['reference']:.3f}")
        for one in shown
    )
    return inline(figure, name, title, words)


def _bar(
    cell: Any, y: float, value: float, low: float | None, high: float | None, colour: str, strength: float
) -> None:
    cell.barh(y, value, height=_BAR - 2, color=colour, alpha=strength)
    if low is not None and high is not None:
        cell.plot([low, high], [y, y], color=INK, linewidth=1.4)
        for end in (low, high):
            cell.plot([end, end], [y - 3.5, y + 3.5], color=INK, linewidth=1.4)
    cell.text(max(value, high or 0), y, f"  {value:.2f}", va="center", fontsize=10, color=MUTED)


def plane(found: dict[str, Any], classes: list[str] | None) -> Markup:
    """Records in the plane of their two main components; real ones in grey, released sums as an ellipse."""
    figure = sheet(_WIDTH, 340)
    cell = axes(figure, 34, 40, 10, 10)
    if found["reference"] is not None:
        x, y = np.array(found["reference"]).T
        cell.scatter(x, y, s=9, color=REFERENCE, alpha=0.55, linewidths=0)
    x, y = np.array(found["synthetic"]).T
    cell.scatter(x, y, s=9, color=SYNTHETIC, alpha=0.5, linewidths=0)
    if found["ellipse"] is not None:
        cell.plot(*np.array(found["ellipse"]).T, color=INK, linewidth=1.6, linestyle=(0, (5, 3)))
    if classes is not None:
        _named(cell, np.array(found["synthetic"]), np.array(found["labels"]), classes)
    cell.axhline(0, color=RULE, linewidth=0.8, zorder=0)
    cell.axvline(0, color=RULE, linewidth=0.8, zorder=0)
    cell.set_xlabel(f"component 1 ({found['variance'][0]:.0%} of the variance)")
    cell.set_ylabel(f"component 2 ({found['variance'][1]:.0%})", labelpad=1)
    cell.set_xticks([])
    cell.set_yticks([])
    beside = "real records" if found["reference"] is not None else "released sums"
    text = f"{len(found['synthetic'])} synthetic records on the two main components of {beside}."
    return inline(figure, "plane", "Synthetic records in two dimensions", text)


def _named(cell: Any, points: Any, labels: Any, classes: list[str]) -> None:
    """Each class by its name, where its records are in the middle."""
    for code in np.unique(labels):
        middle = np.median(points[labels == code], axis=0)
        box = {"boxstyle": "round,pad=0.25", "facecolor": GROUND, "edgecolor": RULE, "linewidth": 0.8}
        cell.text(
            *middle, plain(classes[code], 14), ha="center", va="center", color=INK, fontsize=10, bbox=box
        )
