"""The form of a generator, from what the generator says of itself: a control for each column."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.datastructures import QueryParams

from ...sampler.columns import Category, Column, Number, Values
from ...sampler.session import TableFile
from .asked import HIGH, IS, LOW, MISSING, VALUE
from .shelf import Generator


@dataclass(frozen=True, slots=True)
class Choice:
    """A category. options: (value of the control, words, whether it is chosen)"""

    id: str
    key: str
    name: str
    label: str
    about: str
    options: list[tuple[str, str, bool]]

    @property
    def set(self) -> bool:
        """Whether something else than any value is asked for."""
        return not self.options[0][2]


@dataclass(frozen=True, slots=True)
class Range:
    """A number or date. kind: of the input; bounds: of the schema, as text; chosen: what was typed"""

    id: str
    keys: tuple[str, str]
    label: str
    about: str
    kind: str
    step: str
    bounds: tuple[str, str]
    chosen: tuple[str, str]

    @property
    def set(self) -> bool:
        """Whether an end of the range is asked for."""
        return any(self.chosen)


def columns_of(found: Generator) -> tuple[Column, ...]:
    """What can be asked for: all columns of a table, the label of images and signals."""
    return found.table.columns if isinstance(found, TableFile) else (found.kind.label,)


def controls(found: Generator, query: QueryParams) -> tuple[list[Choice | Range], list[Choice | Range]]:
    """Of conditions, which are inputs of the network; of other columns, by which records are judged."""
    about = described(found)
    made = [
        (column, _control(place, column, about.get(column.name, {}), query))
        for place, column in enumerate(columns_of(found))
    ]
    return (
        [one for column, one in made if column.condition],
        [one for column, one in made if not column.condition],
    )


def described(found: Generator) -> dict[str, dict[str, Any]]:
    """What the schema says of each column, by its name."""
    schema = json.loads(found.schema)
    return {one["name"]: one for one in schema.get("columns", [schema.get("label", {"name": ""})])}


def titled(name: str, about: dict[str, Any]) -> str:
    """A column's name with its unit."""
    unit = str(about.get("unit", ""))
    return f"{name} ({unit})" if unit else name


def _control(place: int, column: Column, about: dict[str, Any], query: QueryParams) -> Choice | Range:
    label, said = titled(column.name, about), str(about.get("description", ""))
    if isinstance(column, Category):
        key = IS + column.name
        known = [("", "any"), *((VALUE + str(one), str(one)) for one in column.categories)]
        known += [(MISSING, "(missing)")] if column.missing else []
        chosen = query.get(key, "")
        return Choice(
            f"c{place}",
            key,
            column.name,
            label,
            said,
            [(value, text, value == chosen) for value, text in known],
        )
    keys = (LOW + column.name, HIGH + column.name)
    low, high = _bounds(column)
    return Range(
        f"c{place}",
        keys,
        label,
        said,
        "date" if column.date else "number",
        "" if column.date else f"{10**-column.decimals:.{column.decimals}f}",
        (low, high),
        (query.get(keys[0], ""), query.get(keys[1], "")),
    )


def _bounds(column: Number) -> tuple[str, str]:
    low, high = column.plain(Values(np.array(column.bounds), np.zeros(2, bool)))
    return str(low).removesuffix(".0"), str(high).removesuffix(".0")
