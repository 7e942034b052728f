"""The page of a release: one HTML file without a script, without an address, for a screen and for paper."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import formats, words
from .content import ReportContent
from .pictures import draw
from .twin import to_json

_TEMPLATES = Path(__file__).parent / "templates"
_WEB = Path(__file__).parents[1] / "web"  # look.css and icons: the dashboards have them, too


def render(content: ReportContent) -> str:
    """The page as HTML5. Every number on it is in ``to_json`` of the same content."""
    twin = to_json(content)
    template = _environment().get_template("report.html.j2")
    return template.render(
        page=twin,
        pictures=draw(content, twin),
        verdicts=words.VERDICTS,
        observers=words.OBSERVERS,
        gate_notes=words.GATE_NOTES,
        steps=words.STEPS,
        evaluated=words.evaluated(twin["records"], content.plan.privacy.unit),
    )


@cache
def _environment() -> Environment:
    """Escapes whatever a schema, a plan or a person wrote; an unknown name is an error."""
    environment = Environment(
        loader=FileSystemLoader([_TEMPLATES, _WEB / "static", _WEB / "templates"]),
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
    environment.filters.update(filters)
    return environment
