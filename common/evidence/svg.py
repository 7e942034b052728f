"""matplotlib figures as SVG that lives inside a page: its colours, its font, its light and dark.

A figure is drawn in a few stand-in colours, each of which becomes a variable of the page's stylesheet. Text
stays text, in the page's font. What would name an address, a date or a program is left out, ids are the
page's own, and the same figure gives the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from .groups import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE = "#0a0b01", "#0a0b02", "#0a0b03"
SYNTHETIC, REFERENCE, GROUND = "#0a0b04", "#0a0b05", "#0a0b06"
OVER, UNDER = "#0a0b07", "#0a0b08"

_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    SYNTHETIC: "var(--synthetic)",
    REFERENCE: "var(--reference)",
    GROUND: "var(--ground)",
    OVER: "var(--over)",
    UNDER: "var(--under)",
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fedcgan",
    "text.parse_math": False,
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "xtick.major.width": 1.0,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.8,
    "path.simplify": True,
}
_NO_MARKS = {"Date": None, "Creator": None, "Format": None, "Type": None}
_NAMESPACE = re.compile(r"\{[^}]*\}")
_DECIMALS = re.compile(r"-?\d+\.\d+")
_REFERENCE_TO = re.compile(r"url\(#([^)]+)\)")
_UNIT = 72  # of matplotlib's inch: one figure unit is one pixel of the page


def sheet(width: float, height: float) -> Figure:
    """An empty figure of so many pixels; matplotlib is loaded here, when a picture is really drawn."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _UNIT, height / _UNIT), dpi=_UNIT)
    FigureCanvasSVG(figure)
    return figure


def drawing() -> AbstractContextManager[None]:
    """The style of everything that is drawn inside."""
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with margins in pixels."""
    width, height = (float(size) * _UNIT for size in figure.get_size_inches())
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return figure.add_axes(box)


def inline(figure: Figure, name: str, title: str, description: str) -> Markup:
    """The figure as an ``svg`` element with a title and a description for those who do not see it.

    name: unique on the page, letters, digits and hyphens
    """
    raw = io.BytesIO()
    with warnings.catch_warnings():  # a letter that the measuring font lacks is drawn by the page's font
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(raw, format="svg", transparent=True, metadata=_NO_MARKS)
    root = ElementTree.fromstring(raw.getvalue())  # noqa: S314 - what we have just drawn
    _cleaned(root, name)
    width, height = root.attrib["viewBox"].split()[2:]
    for key in ("version", "width", "height"):
        root.attrib.pop(key, None)
    root.attrib.update(
        {
            "class": "chart",
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-text",
            "width": _shorter(width),
            "height": _shorter(height),
        }
    )
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        end = "title" if tag == "title" else "text"
        element = ElementTree.Element(tag, {"id": f"{name}-{end}"})
        element.text = plain(text, 600)
        root.insert(place, element)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - ElementTree has escaped it


def _cleaned(root: ElementTree.Element, name: str) -> None:
    used = _referenced(root)
    for parent in list(root.iter()):
        if not parent.tag.endswith("}text"):
            parent.text = None
        for child in list(parent):
            if _NAMESPACE.sub("", child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _NAMESPACE.sub("", element.tag)
        element.tail = None
        element.attrib = _attributes(element, used, name)
    _flattened(root)


def _referenced(root: ElementTree.Element) -> set[str]:
    """Ids that something points to."""
    found: set[str] = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            if key.endswith("href"):
                found.add(value.removeprefix("#"))
            found |= set(_REFERENCE_TO.findall(value))
    return found


def _attributes(element: ElementTree.Element, used: set[str], name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw, value in element.attrib.items():
        key = _NAMESPACE.sub("", raw)
        if key == "id":
            if value in used:
                found[key] = f"{name}-{value}"
        elif key == "href":
            found[key] = f"#{name}-{value.removeprefix('#')}"
        elif key == "style":
            found[key] = _styled(value)
        elif not (key == "transform" and value.startswith("rotate(-0 ")):
            shorter = _shorter(" ".join(value.split()))
            found[key] = _REFERENCE_TO.sub(lambda match: f"url(#{name}-{match[1]})", shorter)
    return found


def _styled(value: str) -> str:
    """A style without fonts, in the page's colours."""
    parts = [part.strip() for part in value.split(";")]
    kept = "; ".join(part for part in parts if part and not part.startswith("font-family"))
    for stand_in, variable in _VARIABLES.items():
        kept = kept.replace(stand_in, variable)
    return kept


def _shorter(value: str) -> str:
    return _DECIMALS.sub(lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), value)


def _flattened(parent: ElementTree.Element) -> None:
    """Groups that say nothing give way to what they hold; what draws nothing goes."""
    for child in list(parent):
        _flattened(child)
    children: list[ElementTree.Element] = []
    for child in parent:
        if child.tag == "g" and not child.attrib:
            children += list(child)
        elif child.get("style") != "fill: none":
            children.append(child)
    for child in list(parent):
        parent.remove(child)
    parent.extend(children)
