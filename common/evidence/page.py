"""The page of a release: one HTML file without a script, without an address, for a screen and for paper."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment

from ..web.rendering import TEMPLATES, environment
from . import words
from .content import ReportContent
from .pictures import draw
from .twin import to_json

_TEMPLATES = Path(__file__).parent / "templates"
_LOOK = TEMPLATES.with_name("static")  # of the dashboards, whose icons it has, too


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
    return environment(_TEMPLATES, _LOOK, TEMPLATES)
