"""What a bundle carries besides papers: the portable generator, and the page with its numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from common.evidence.page import render
from common.evidence.twin import to_json

from .assembly import Parts
from .onnx_export import NAME
from .report_page import content_of


def portable_generator(parts: Parts) -> Mapping[str, bytes]:
    """``generator.onnx``, as the run released it; none of a release that was made without."""
    path = parts.run.release / NAME
    return {NAME: path.read_bytes()} if path.exists() else {}


def page(parts: Parts) -> Mapping[str, bytes]:
    """``report.html`` and ``report.evidence.json``: to be shared, or nothing is written.

    Raises NotShareableError if they would show what was computed from records outside the secure sum.
    """
    run = parts.run
    folder = run.release if run.simulated else run.release.parent
    content = replace(content_of(folder, private=False, override=parts.gate.override), run=parts.report)
    twin = json.dumps(to_json(content), indent=1, ensure_ascii=False)
    return {"report.html": render(content).encode(), "report.evidence.json": twin.encode()}
