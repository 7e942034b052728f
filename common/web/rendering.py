"""Pages from templates: whatever a record's schema, a site or a person wrote is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..evidence import formats

FOLDER = Path(__file__).parent / "templates"
"""Ours; a dashboard's own come first."""


def environment(folder: Path) -> Environment:
    """Templates of a dashboard's folder and ours; an unknown name is an error."""
    found = Environment(
        loader=FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "number": formats.number,
        "percent": formats.percent,
        "bound": formats.bound,
        "bytes": formats.size,
        "seconds": formats.span,
        "count": formats.count,
    }
    found.filters.update(filters)
    return found
