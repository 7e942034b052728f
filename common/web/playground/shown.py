"""Drawn records as a page shows them: a table, marked pictures, plots of signals."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from ...sampler.arrays import ArrayKind, ArraySample
from ...sampler.columns import Number
from ...sampler.output import png
from ...sampler.report import report
from ...sampler.sampling import Sample
from ...sampler.session import TableFile
from ..charts import MOST_SERIES, Series, curves
from .controls import described, titled
from .shelf import Generator

_MISSING = Markup('<span class="missing" role="img" aria-label="missing">\N{EN DASH}</span>')


def shown(found: Generator, drawn: Sample | ArraySample) -> dict[str, Any]:
    """What ``playground-drawn.html.j2`` needs."""
    content: dict[str, Any] = {"report": report(drawn), "table": None, "pictures": None, "plots": None}
    if isinstance(found, TableFile):
        assert isinstance(drawn, Sample)
        content["table"] = _table(found, drawn)
    else:
        assert isinstance(drawn, ArraySample)
        order = np.argsort(drawn.labels, kind="stable")
        ordered = ArraySample(drawn.values[order], drawn.labels[order], drawn.extrapolated)
        if found.kind.whole:
            content["pictures"] = _pictures(found.kind, ordered, found.facts)
        else:
            content["plots"] = _plots(found, ordered)
    return content


def _table(found: TableFile, drawn: Sample) -> dict[str, Any]:
    about = described(found)
    columns = found.table.columns
    written = [
        _written(column, values) for column, values in zip(columns, drawn.plain().values(), strict=True)
    ]
    numeric = [isinstance(column, Number) and not column.date for column in columns]
    return {
        "heads": [titled(column.name, about.get(column.name, {})) for column in columns],
        "numeric": numeric,
        "body": _body(written, numeric),
    }


def _body(columns: list[list[str | None]], numeric: list[bool]) -> Markup:
    """Rows as HTML; not by the template, which would take longer than drawing them."""
    opened = [Markup('<td class="n">') if one else Markup("<td>") for one in numeric]
    cells = [
        [f"{start}{_MISSING if value is None else escape(value)}</td>" for value in column]
        for start, column in zip(opened, columns, strict=True)
    ]
    return Markup("".join(f"<tr>{''.join(row)}</tr>\n" for row in zip(*cells, strict=True)))  # noqa: S704 - escaped


def _written(column: Any, values: np.ndarray[Any, Any]) -> list[str | None]:
    if isinstance(column, Number) and column.decimals:
        return [None if one is None else f"{one:.{column.decimals}f}" for one in values.tolist()]
    return [None if one is None else str(one) for one in values.tolist()]


def _pictures(kind: ArrayKind, drawn: ArraySample, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Each a file of its own that bears the mark, also when a visitor saves it from the page."""
    found = []
    for place, (values, label) in enumerate(zip(drawn.values, drawn.labels, strict=True), 1):
        content = base64.b64encode(png(values.transpose(1, 2, 0), facts)).decode()
        said = str(kind.label.categories[label])
        found.append({"address": f"data:image/png;base64,{content}", "label": said, "place": place})
    return found


def _plots(found: Generator, drawn: ArraySample) -> list[Markup]:
    """Of each record, channels of one unit over each other, three at a time."""
    assert not isinstance(found, TableFile)
    kind, channels = found.kind, _channels(found)
    seconds = np.arange(kind.shape[1]) / kind.rate
    together = _together(kind.units)
    plots = []
    for place, (values, label) in enumerate(zip(drawn.values, drawn.labels, strict=True), 1):
        said = f"{place}. {kind.label.name}: {kind.label.categories[label]}"
        for some in together:
            unit = kind.units[some[0]]
            series = [Series(channels[one], seconds, values[one], _span(values[one], unit)) for one in some]
            title = f"{said}, {unit}" if unit else said
            plots.append(curves(title, series, unit="seconds", from_zero=False))
    return plots


def _together(units: tuple[str, ...]) -> list[list[int]]:
    groups: list[list[int]] = []
    for place, unit in enumerate(units):
        if groups and units[groups[-1][0]] == unit and len(groups[-1]) < MOST_SERIES:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _span(values: np.ndarray[Any, Any], unit: str) -> str:
    return f"{values.min():.3g} to {values.max():.3g} {unit}".rstrip().replace("-", "\N{MINUS SIGN}")


def _channels(found: Generator) -> list[str]:
    assert not isinstance(found, TableFile)
    said = json.loads(found.schema).get("channels", [])
    return [str(one.get("name", "")) or f"channel {place}" for place, one in enumerate(said, 1)]
