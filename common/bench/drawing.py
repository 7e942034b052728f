"""What pictures of benches have in common: colours, and SVG that is the same for the same figures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INK, MUTED, OURS, THEIRS = "#1f2933", "#66727f", "#0b6e6e", "#9aa5b1"
"""Text; axes and references; this program; others."""

LINES = ("#0b6e6e", "#c2571a", "#5b4a9e", "#9aa5b1")
"""Colours of lines, told apart in print, too, if each has a marker of its own."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "ytick.major.size": 0,
}


@contextmanager
def drawing(width: float, height: float, salt: str) -> Iterator[Any]:
    """A matplotlib figure of so many inches in this style; draw and take ``svg`` inside.

    salt: of identifiers in the SVG, one for each kind of picture
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure


def svg(figure: Any) -> str:
    """The text of the picture: no dates, no trailing blanks."""
    raw = io.StringIO()
    marks = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(raw, format="svg", metadata=marks)
    return "\n".join(line.rstrip() for line in raw.getvalue().splitlines()) + "\n"
