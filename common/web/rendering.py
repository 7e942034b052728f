"""Pages from templates: whatever a record's schema, a site or a person wrote is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..evidence import formats

TEMPLATES = Path(__file__).parent / "templates"
"""Ours; a dashboard's own come first."""


def environment(*folders: Path) -> Environment:
    """Templates of these folders, of the first that has one of that name; an unknown name is an error."""
    found = Environment(
        loader=FileSystemLoader(folders),
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
        "interval": formats.interval,
        "track": formats.track,
    }
    found.filters.update(filters)
    return found
