"""All pictures of a page, by the name under which its template asks for them."""

from __future__ import annotations

from typing import Any

from ..arrays import Arrays
from ..schema import ImageSchema, SignalSchema
from . import array_pictures, charts, svg, table_pictures
from .content import ReportContent

_COLUMNS = 60  # of a table, drawn one by one

REFERENCE_WORDS = {
    "released material": "released sums, ± 2 s.d. of their noise",
    "records": "real records, ± 2 s.d. of sampling",
    None: "",
}


def draw(content: ReportContent, twin: dict[str, Any]) -> dict[str, Any]:
    """Figures as SVG, images as data addresses. Deterministic, without a display."""
    beside = REFERENCE_WORDS[twin["reference"]]
    with svg.drawing():
        found: dict[str, Any] = {
            "spending": charts.spending(twin["spending"], twin["budget"]["target"]),
            "utility": _bars(twin, "utility", "Utility: synthetic against real training records"),
            "legend": table_pictures.legend(beside) if beside else None,
            "reference": beside,
            "marginals": [],
            "heat": [],
            "plane": None,
            "strips": [],
            "real_strips": [],
            "overlays": [],
            "spectra": [],
        }
        comparison = twin["comparison"]
        if comparison is None:
            return found
        found["plane"] = charts.plane(comparison["projection"], comparison.get("classes"))
        if isinstance(content.synthetic, Arrays):
            return found | _arrays(content, content.synthetic, twin)
        columns = comparison["marginals"]
        found["marginals"] = [
            table_pictures.marginal(one, place) for place, one in enumerate(columns[:_COLUMNS])
        ]
        found["heat"] = table_pictures.heat_maps(comparison["association"])
    return found


def _bars(twin: dict[str, Any], part: str, title: str) -> Any:
    figures = [one for one in twin[part] if one["value"] is not None and one["value"] >= 0]
    return charts.bars(figures, part, title) if figures else None


def _arrays(content: ReportContent, synthetic: Arrays, twin: dict[str, Any]) -> dict[str, Any]:
    schema, comparison = content.schema, twin["comparison"]
    reference = content.reference
    real = reference.records if reference and isinstance(reference.records, Arrays) else None
    classes = array_pictures.shares(
        comparison["classes"],
        comparison["shares"],
        comparison["shares_reference"],
        0 if real is None else len(real),
    )
    found: dict[str, Any] = {"marginals": [table_pictures.marginal(classes, 0)]}
    if isinstance(schema, ImageSchema):
        facts = {"Plan": twin["federation"]["plan"], "Epsilon": f"{twin['budget']['epsilon']:g}"}
        found["strips"] = array_pictures.strips(synthetic, schema, facts)
        found["real_strips"] = [] if real is None else array_pictures.strips(real, schema, None)
    if isinstance(schema, SignalSchema):
        found["overlays"] = array_pictures.overlays(synthetic, real, schema)
        found["spectra"] = array_pictures.spectra(comparison["spectra"], schema)
    return found
