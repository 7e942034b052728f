"""Pictures of a table: every column's shares, and how columns hang together."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from .formats import MINUS
from .groups import plain
from .svg import INK, MUTED, OVER, REFERENCE, RULE, SYNTHETIC, UNDER, axes, inline, sheet

Array = NDArray[np.float64]

_WIDTH = 330
_ROW = 17  # pixels of a category
_MOST = 12  # categories shown; the rest goes together
_PAIRED = 40  # columns of a heat map
_NOISE = 2.0  # standard deviations of a whisker
_STRONG, _DIFFERENT = 0.6, 0.25  # an association, or a difference of two, of full colour


def marginal(found: dict[str, Any], number: int) -> Markup:
    """One column: bars for synthetic records, marks with whiskers for the reference."""
    draw = _numbers if found["number"] else _categories
    figure = draw(found)
    title = f"Shares of {found['column']}"
    largest = int(np.argmax(found["synthetic"]))
    text = f"Most synthetic records have {found['labels'][largest]}: {found['synthetic'][largest]:.1%}."
    if found["reference"] is not None:
        apart = np.abs(np.subtract(found["synthetic"], found["reference"]))
        worst = int(apart.argmax())
        text += (
            f" Total variation distance to the reference {found['distance']:.3f}; furthest apart at "
            f"{found['labels'][worst]}: {found['synthetic'][worst]:.1%} synthetic, "
            f"{found['reference'][worst]:.1%} reference."
        )
    return inline(figure, f"column-{number}", title, text)


def _numbers(found: dict[str, Any]) -> Any:
    figure = sheet(_WIDTH, 168)
    cell = axes(figure, 36, 38, 8, 8)
    values, places = np.array(found["synthetic"]), np.arange(len(found["synthetic"]))
    cell.bar(places, values, width=0.86, color=SYNTHETIC, alpha=0.75)
    if found["reference"] is not None:
        theirs, spread = _reference(found)
        cell.hlines(theirs, places - 0.43, places + 0.43, colors=INK, linewidth=2)
        cell.vlines(places, np.maximum(theirs - spread, 0), theirs + spread, colors=INK, linewidth=1)
    _percent(cell.yaxis, _most(found))
    cell.set_ylim(0, _most(found))
    cell.grid(axis="y")
    shown = _spread_out(found["labels"])
    cell.set_xticks(shown, [plain(found["labels"][place], 13) for place in shown], fontsize=9.5)
    if found["unit"]:
        cell.set_xlabel(plain(found["unit"], 40), fontsize=10, labelpad=1)
    return figure


def _spread_out(labels: list[str]) -> list[int]:
    """Which labels fit beside one another."""
    longest = max(len(label) for label in labels)
    fit = max(2, int((_WIDTH - 44) / (6 * min(longest, 13) + 10)))
    if len(labels) <= fit:
        return list(range(len(labels)))
    return sorted({round(place) for place in np.linspace(0, len(labels) - 1, fit)})


def _categories(found: dict[str, Any]) -> Any:
    rows = _together(found)
    height = max(168, 30 + _ROW * len(rows) + 8)
    longest = max(len(row[0]) for row in rows)
    left = min(142, 14 + int(6.2 * min(longest, 21)))
    figure = sheet(_WIDTH, height)
    cell = axes(figure, left, 30, 22, 6)
    places = np.arange(len(rows))
    cell.barh(places, [row[1] for row in rows], height=0.74, color=SYNTHETIC, alpha=0.75)
    if found["reference"] is not None:
        theirs, spread = (np.array([row[part] for row in rows]) for part in (2, 3))
        cell.vlines(theirs, places - 0.37, places + 0.37, colors=INK, linewidth=2)
        cell.hlines(places, np.maximum(theirs - spread, 0), theirs + spread, colors=INK, linewidth=1)
    most = _most(found)
    _percent(cell.xaxis, most)
    cell.set_xlim(0, most)
    cell.set_ylim(len(rows) - 0.4, -0.6)
    cell.grid(axis="x")
    cell.set_yticks(places, [plain(row[0], 21) for row in rows], fontsize=10)
    return figure


def _together(found: dict[str, Any]) -> list[tuple[str, float, float, float]]:
    """Label, synthetic share, reference and whisker of each category; those of small share in one row."""
    theirs, spread = _reference(found) if found["reference"] is not None else (found["synthetic"], None)
    noise = np.zeros(len(theirs)) if spread is None else spread
    rows = list(zip(found["labels"], found["synthetic"], theirs, noise, strict=True))
    if len(rows) <= _MOST:
        return rows
    large = set(np.argsort([-row[1] for row in rows], kind="stable")[: _MOST - 1].tolist())
    kept = [row for place, row in enumerate(rows) if place in large]
    rest = [row for place, row in enumerate(rows) if place not in large]
    sums = [float(sum(row[part] for row in rest)) for part in (1, 2)]
    return [*kept, (f"{len(rest)} smaller", *sums, float(np.sqrt(sum(row[3] ** 2 for row in rest))))]


def _reference(found: dict[str, Any]) -> tuple[Array, Array]:
    return np.array(found["reference"]), np.array(found["deviation"]) * _NOISE


def _most(found: dict[str, Any]) -> float:
    tops = np.array(found["synthetic"])
    if found["reference"] is not None:
        theirs, spread = _reference(found)
        tops = np.maximum(tops, theirs + spread)
    return float(max(tops.max(), 0.01) * 1.08)


def _percent(axis: Any, most: float) -> None:
    step = next(s for s in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if most / s <= 5 or s == 0.5)
    ticks = np.arange(0, most, step)
    axis.set_ticks(ticks, [f"{tick:.1%}" if step < 0.01 else f"{tick:.0%}" for tick in ticks])


def heat_maps(association: dict[str, Any]) -> list[tuple[str, Markup]]:
    """Associations of synthetic records and of the reference, and what is between them, with captions."""
    names = association["columns"][:_PAIRED]
    ours = np.array(association["synthetic"])[:_PAIRED, :_PAIRED]
    found = [("Synthetic records", _heat(ours, names, "synthetic", (SYNTHETIC, SYNTHETIC)))]
    if association["reference"] is not None:
        theirs = np.array(association["reference"])[:_PAIRED, :_PAIRED]
        found.append(("Reference", _heat(theirs, names, "reference", (REFERENCE, REFERENCE))))
        found.append(
            (
                "Synthetic minus reference",
                _heat(ours - theirs, names, "difference", (OVER, UNDER), signs=True),
            )
        )
    return found


def _heat(
    values: Array, names: list[str], name: str, colours: tuple[str, str], signs: bool = False
) -> Markup:
    count = len(names)
    left = min(118, 12 + int(5.8 * max(len(plain(one, 19)) for one in names)))
    step = max(11.0, min(26.0, (372 - left) / count))
    figure = sheet(left + step * count + 8, left + step * count + 8)
    cell = axes(figure, left, left, 8, 8)
    _squares(cell, values, colours, signs)
    small = 9.5 if step >= 13 else 8.5
    shown = [plain(one, 19) for one in names]
    cell.set_xticks(np.arange(count), shown, rotation=90, fontsize=small)
    cell.set_yticks(np.arange(count), shown, fontsize=small)
    cell.tick_params(length=0)
    cell.set_xlim(-0.5, count - 0.5)
    cell.set_ylim(count - 0.5, -0.5)
    cell.spines[["left", "bottom"]].set_visible(False)
    title = "Difference of associations" if signs else f"Association of columns, {name}"
    return inline(figure, f"heat-{name}", title, _strongest(values, shown))


def _squares(cell: Any, values: Array, colours: tuple[str, str], signs: bool) -> None:
    """Below the diagonal a square for each pair, stronger the further from zero; a sign where it is large."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    rows, columns = np.tril_indices(len(values), -1)
    found = values[rows, columns]
    strength = np.minimum(1.0, np.abs(found) / (_DIFFERENT if signs else _STRONG))
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.46
    squares = np.stack([columns, rows], axis=1)[:, None, :] + corners
    fills = np.array([to_rgba(colours[int(value < 0)], a) for value, a in zip(found, strength, strict=True)])
    cell.add_collection(PolyCollection(list(squares), facecolors=to_rgba(RULE, 0.35), linewidths=0))
    seen = strength >= 0.02
    if seen.any():
        cell.add_collection(PolyCollection(list(squares[seen]), facecolors=fills[seen], linewidths=0))
    for place in np.flatnonzero(strength >= 0.4) if signs else ():
        mark = "+" if found[place] > 0 else MINUS
        cell.text(columns[place], rows[place], mark, ha="center", va="center", color=INK, fontsize=10)


def _strongest(values: Array, names: list[str]) -> str:
    rows, columns = np.tril_indices(len(values), -1)
    order = np.argsort(-np.abs(values[rows, columns]))[:3]
    parts = [f"{names[rows[k]]} and {names[columns[k]]}: {values[rows[k], columns[k]]:.2f}" for k in order]
    return "Furthest from zero: " + "; ".join(parts) + "."


def legend(reference: str) -> Markup:
    """What bars and marks are."""
    figure = sheet(_WIDTH, 22)
    cell = axes(figure, 2, 1, 2, 1)
    cell.set_xlim(0, _WIDTH)
    cell.set_ylim(0, 20)
    cell.axis("off")
    cell.bar(10, 14, width=16, bottom=3, color=SYNTHETIC, alpha=0.75)
    cell.text(24, 10, "synthetic", va="center", color=MUTED)
    cell.plot([96, 112], [10, 10], color=INK, linewidth=2)
    cell.plot([104, 104], [3, 17], color=INK, linewidth=1)
    cell.text(118, 10, reference, va="center", color=MUTED)
    return inline(figure, "legend", "Key", f"Bars: synthetic. Marks with whiskers: {reference}.")
