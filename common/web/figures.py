"""Figures of the evidence page inside a dashboard, whose policy allows no style of its own in a page."""

from __future__ import annotations

import re

from markupsafe import Markup

_STYLE = re.compile(r'style="([^"]*)"')
_VARIABLE = re.compile(r"var\(--([a-z]+)\)")
_CLASSES = {"fill": "f", "stroke": "s"}


def restyled(figure: Markup) -> Markup:
    """A figure of ``common.evidence.svg.inline`` with the same looks and without ``style`` attributes.

    Properties become presentation attributes. Colours, which are variables of the page, become classes of
    ``dashboard.css``: not every browser takes a variable in a presentation attribute.
    """
    return Markup(_STYLE.sub(_attributes, str(figure)))  # noqa: S704 - markup before, the same without styles


def _attributes(found: re.Match[str]) -> str:
    classes, attributes = [], []
    for part in filter(None, map(str.strip, found[1].split(";"))):
        name, _, value = (piece.strip() for piece in part.partition(":"))
        variable = _VARIABLE.fullmatch(value)
        if variable and name in _CLASSES:
            classes.append(f"{_CLASSES[name]}-{variable[1]}")
        else:
            attributes.append(f'{name}="{value}"')
    return " ".join(([f'class="{" ".join(classes)}"'] if classes else []) + attributes)
