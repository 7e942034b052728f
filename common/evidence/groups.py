"""Words for the groups of codes that a table is shown in."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..columns import CategoryColumn, Column, NumberColumn, iso_date
from ..modalities.grouping import Grouping
from ..schema import TableSchema
from .formats import DASH

MISSING = "missing"
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, marks that turn text around, halves of pairs


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one column that a code belongs to.

    places: int64[groups used], where they lie among all groups of the schema; labels: a text for each
    ordered: whether neighbours are alike
    """

    places: NDArray[np.int64]
    labels: tuple[str, ...]
    ordered: bool


def groups_of(schema: TableSchema, grouping: Grouping) -> list[Groups]:
    """Of every column, in schema order."""
    parts = np.split(grouping.groups, np.cumsum(schema.sizes)[:-1])
    starts = np.concatenate([[0], np.cumsum(schema.groups)[:-1]])
    return [
        _groups(column, part, int(start))
        for column, part, start in zip(schema.columns, parts, starts, strict=True)
    ]


def plain(text: str, limit: int = 40) -> str:
    """A name of a schema as one short line: no controls, nothing that changes the direction of text."""
    clean = "".join(" " if unicodedata.category(c) in _HIDDEN else c for c in text)
    clean = " ".join(clean.split()) or "(blank)"
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _groups(column: Column, part: NDArray[np.int64], start: int) -> Groups:
    found = np.unique(part)
    members = [np.flatnonzero(part == group) for group in found]
    missing = column.size - 1 if column.missing else -1
    if isinstance(column, CategoryColumn):
        labels = [_categories(column, codes, missing) for codes in members]
        ordered = column.ordered
    else:
        labels = [_interval(column, codes, missing) for codes in members]
        ordered = True
        found, labels = _by_value(column, found, labels, members, missing)
    return Groups(start + found, tuple(labels), ordered)


def _categories(column: CategoryColumn, codes: NDArray[np.int64], missing: int) -> str:
    if len(codes) > 1:
        return f"{len(codes)} others"
    return MISSING if codes[0] == missing else plain(str(column.categories[codes[0]]))


def _interval(column: NumberColumn, codes: NDArray[np.int64], missing: int) -> str:
    if codes[0] == missing:
        return MISSING
    low, high = _reach(column, codes)
    step = 10.0**-column.decimals if column.decimals < 3 else 0.0
    last = round(high - step, 9) if column.decimals == 0 else high
    said = iso_date if column.kind == "date" else _number
    return said(low) if last <= low else said(low) + DASH + said(last)


def _reach(column: NumberColumn, codes: NDArray[np.int64]) -> tuple[float, float]:
    """From the lowest value of these codes to the highest, which is outside unless an atom."""
    atoms = [column.atoms[code] for code in codes if code < len(column.atoms)]
    edges = (column.bounds[0], *column.borders, column.bounds[1])
    bins = [code - len(column.atoms) for code in codes if code >= len(column.atoms)]
    lows = [*atoms, *(edges[place] for place in bins)]
    highs = [*atoms, *(edges[place + 1] for place in bins)]
    if bins and max(bins) == len(edges) - 2 and column.decimals == 0:
        highs.append(column.bounds[1] + 1)  # the last bin includes the upper bound
    return min(lows), max(highs)


def _by_value(
    column: NumberColumn,
    found: NDArray[np.int64],
    labels: list[str],
    members: list[NDArray[np.int64]],
    missing: int,
) -> tuple[NDArray[np.int64], list[str]]:
    """Atoms between the bins they lie in, what is missing last."""
    keys = [np.inf if codes[0] == missing else _reach(column, codes)[0] for codes in members]
    order = np.argsort(np.array(keys), kind="stable")
    return found[order], [labels[place] for place in order]


def _number(value: float) -> str:
    if abs(value) >= 100_000 or 0 < abs(value) < 0.001:
        return f"{value:.2g}"
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
