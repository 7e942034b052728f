"""Cost along an axis, on logarithms of both: seconds, memory and traffic side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .drawing import INK, LINES, MUTED, drawing, svg
from .growth.law import Law

_PANELS = (("seconds", "seconds", 1.0), ("peak", "peak memory, MiB", 2.0**20), ("bytes", "MiB", 2.0**20))
_MARKERS = "os^Dvp"
_WHOLE = "seconds whole"
_LEAST_RANGE = 10.0


def picture(along: str, figures: Mapping[str, Mapping[float, float]], laws: Mapping[str, Law | None]) -> str:
    """SVG: medians as points; the fitted law of whole time and of memory dashed.

    figures: cost by value, by the names of ``growth.measure.figures``; what an axis has none of has no panel
    """
    panels = [panel for panel in _PANELS if any(name.startswith(panel[0]) for name in figures)]
    with drawing(3.4 * len(panels) + 0.6, 3.6, "fedcgan scale") as figure:
        for axes, (kind, text, unit) in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
            names = [name for name in figures if name.startswith(kind)]
            for number, name in enumerate(sorted(names, key=lambda name: name != _WHOLE)):
                _line(axes, name, figures[name], laws.get(name), number, unit)
            _logarithmic(axes, sorted({value for costs in figures.values() for value in costs}))
            axes.set_xlabel(along)
            axes.set_ylabel(text)
            if len(names) > 1:
                axes.legend(frameon=False, fontsize=8)
        return svg(figure)


def _logarithmic(axes: Any, values: list[float]) -> None:
    """Both axes, with ticks at the values and at powers of ten, of which there is one at least."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < _LEAST_RANGE * low:
        axes.set_ylim(low / _LEAST_RANGE**0.5, high * _LEAST_RANGE**0.5)
    axes.set_xticks(values, [_short(value) for value in values])
    axes.xaxis.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: _short(value))
    axes.yaxis.set_minor_formatter(lambda _value, _: "")


def _short(value: float) -> str:
    for letter, unit in (("M", 1e6), ("k", 1e3)):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def _line(
    axes: Any, name: str, costs: Mapping[float, float], fitted: Law | None, number: int, unit: float
) -> None:
    shown = {value: cost / unit for value, cost in costs.items() if cost > 0}
    if not shown:
        return
    colour = INK if name == _WHOLE else LINES[number % len(LINES)]
    label = name.partition(" ")[2].replace("_", " ")
    marker = _MARKERS[number % len(_MARKERS)]
    style = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.2}
    axes.plot(list(shown), list(shown.values()), label=label, **style)
    if fitted is not None and name in (_WHOLE, "peak bytes"):
        at = np.geomspace(fitted.least, fitted.most, 60)
        axes.plot(at, [fitted.at(x) / unit for x in at], color=MUTED, linestyle=(0, (4, 3)), linewidth=1.0)
