"""Columns of a table, with public categories and bins."""

from __future__ import annotations

import datetime
import re
from bisect import bisect_right
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

_CELLS = 256  # of a numeric column whose bins are left open

MOST_STEPS = 1 << 53
"""Steps of 10**-decimals from zero to a bound: float64 and int64 hold so many exactly."""

ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
"""ISO 8601, the long form."""

_EPOCH = datetime.date(1970, 1, 1).toordinal()
_MODEL = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Real = Annotated[float, Field(strict=True)]
"""A number written as one: no text, no truth value."""

Whole = Annotated[int, Field(strict=True)]
"""An integer written as one."""


def _can_be_asked_for(name: str) -> str:
    if "=" in name:
        raise ValueError(f"column {name}: a name with '=' could not be asked for as NAME=VALUE")
    return name


Name = Annotated[str, Field(min_length=1), AfterValidator(_can_be_asked_for)]
"""Of a column."""


class CategoryColumn(BaseModel):
    """A column with a fixed list of values.

    categories: all allowed values, in order if ``ordered``; either all text or all integers
    keep: if given, at most so many categories are modelled one by one; rarer ones form one group, by a noisy
        histogram
    missing: whether a value may be absent
    condition: whether the generator takes this column as an input
    """

    model_config = _MODEL
    name: Name
    kind: Literal["category"] = "category"
    categories: tuple[str, ...] | tuple[int, ...] = Field(min_length=2)
    ordered: bool = False
    keep: Whole | None = Field(default=None, ge=1)
    missing: bool = False
    condition: bool = False
    description: str = ""

    @field_validator("categories", mode="before")
    @classmethod
    def _of_one_kind(cls, values: Any) -> Any:
        """Nothing is made of other values: 1 of true, or 1 of the text "1"."""
        if isinstance(values, list | tuple):
            texts = all(isinstance(value, str) for value in values)
            if not texts and not all(type(value) is int for value in values):
                raise ValueError("categories are all text or all integers")
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.keep is not None and (self.keep > len(self.categories) - 2 or self.condition):
            raise ValueError(
                f"column {self.name}: keep leaves at least two categories to group, and a condition has none"
            )
        if len(set(self.categories)) != len(self.categories):
            raise ValueError(f"column {self.name}: a category is listed twice")
        if "" in self.categories:
            raise ValueError(f"column {self.name}: an empty value means missing, it cannot be a category")
        if self.condition and self.missing:
            raise ValueError(f"column {self.name}: a condition cannot be missing")
        return self

    @property
    def size(self) -> int:
        """Number of codes: the categories, then one for missing if allowed."""
        return len(self.categories) + self.missing

    @property
    def groups(self) -> int:
        """Number of codes the models see."""
        return self.size if self.keep is None else self.keep + 1 + self.missing


class NumberColumn(BaseModel):
    """A numeric column, or one of dates, cut into public bins.

    kind: ``date`` for days of the Gregorian calendar; bounds, cuts and atoms are ISO 8601 dates in files, and
        days since 1970-01-01 here
    bounds: smallest and largest allowed value, in ``unit``
    decimals: digits after the point; 0 makes an integer column; left out for dates
    atoms: values with a code of their own (a spike at zero, say)
    cuts: inner borders of the bins, ascending; a value equal to a cut belongs to the bin above it
    bins: instead of cuts, how many bins of about equal mass to make at most, from a noisy histogram of public
        cells
    scale: how values spread inside a bin when a record is drawn
    """

    model_config = _MODEL
    name: Name
    kind: Literal["number", "date"] = "number"
    bounds: tuple[Real, Real]
    decimals: Whole = Field(ge=0, le=9)
    cuts: tuple[Real, ...] = ()
    bins: Whole | None = Field(default=None, ge=2, le=_CELLS)
    atoms: tuple[Real, ...] = ()
    scale: Literal["linear", "log"] = "linear"
    unit: str = ""
    missing: bool = False
    condition: Literal[False] = False
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _dates(cls, content: Any) -> Any:
        if not isinstance(content, dict) or content.get("kind") != "date":
            return content
        days = {
            key: tuple(map(days_of, content[key]))
            for key in ("bounds", "cuts", "atoms")
            if isinstance(content.get(key), list | tuple)
        }
        return {"decimals": 0, **content, **days}

    @field_serializer("bounds", "cuts", "atoms")
    def _as_written(self, values: tuple[float, ...]) -> tuple[float | str, ...]:
        return tuple(map(iso_date, values)) if self.kind == "date" else values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = self.bounds
        if self.kind == "date" and (self.decimals, self.scale, self.unit) != (0, "linear", ""):
            raise ValueError(f"column {self.name}: dates have no decimals, scale or unit")
        if max(abs(low), abs(high)) * 10**self.decimals > MOST_STEPS:
            raise ValueError(f"column {self.name}: bounds with more digits than a computer's numbers hold")
        if (self.bins is None) == (not self.cuts):
            raise ValueError(f"column {self.name}: give either cuts or bins")
        if self.bins and (low >= high or self.bins > len(self.borders) + 1):
            raise ValueError(f"column {self.name}: {self.bins} bins are more than it has cells")
        borders = (low, *self.cuts, high + 10.0**-self.decimals)  # the last bin includes high
        if any(a >= b for a, b in pairwise(borders)):
            raise ValueError(f"column {self.name}: bounds and cuts must ascend, got {borders}")
        if any(not low <= atom <= high for atom in self.atoms):
            raise ValueError(f"column {self.name}: an atom lies outside the bounds")
        if any(round(value, self.decimals) != value for value in (low, high, *self.cuts, *self.atoms)):
            raise ValueError(f"column {self.name}: bounds, cuts, atoms have at most {self.decimals} decimals")
        if len(taken := set(self.atoms)) != len(self.atoms):
            raise ValueError(f"column {self.name}: an atom is listed twice")
        step = 10.0**-self.decimals
        for atom in self.atoms:
            beside = round(atom + step, self.decimals)
            cut_between = bisect_right(self.borders, atom) < bisect_right(self.borders, beside)
            if beside > high or beside in taken or cut_between:
                raise ValueError(
                    f"column {self.name}: atom {atom:g} leaves no other value above it in its bin"
                )
        if self.scale == "log" and low < 0:
            raise ValueError(f"column {self.name}: a log scale needs bounds of at least 0")
        return self

    @property
    def size(self) -> int:
        """Number of codes: atoms, bins or cells, then one for missing if allowed."""
        return len(self.atoms) + len(self.borders) + 1 + self.missing

    @property
    def groups(self) -> int:
        """Number of codes the models see."""
        return self.size if self.bins is None else len(self.atoms) + self.bins + self.missing

    @property
    def reach(self) -> str:
        """The bounds as people read them: with their unit, or as ISO 8601 dates."""
        low, high = (iso_date(value) if self.kind == "date" else f"{value:g}" for value in self.bounds)
        return f"{low} to {high} {self.unit}".strip()

    @property
    def borders(self) -> tuple[float, ...]:
        """Inner borders of the finest intervals that a value is told by: the cuts, or public cells."""
        return self.cuts if self.bins is None else _cells(self.bounds, self.decimals, self.scale, self.atoms)


@cache
def _cells(
    bounds: tuple[float, float], decimals: int, scale: str, atoms: tuple[float, ...]
) -> tuple[float, ...]:
    """Inner borders of at most ``_CELLS`` cells, equal on the scale; none starts or ends at an atom alone."""
    low, high = bounds
    step = 10.0**-decimals
    parts = [i / _CELLS for i in range(1, _CELLS)]
    if scale == "log":
        ratio = (high + 2 * step) / (low + step)
        raw = [(low + step) * ratio**part - step for part in parts]
    else:
        raw = [low + (high + step - low) * part for part in parts]
    borders = sorted({round(value, decimals) for value in raw} - {low})
    alone = {edge for atom in atoms for edge in (round(atom + step, decimals),)}
    return tuple(b for b in borders if low < b <= high and b not in alone)


def days_of(date: Any) -> float:
    """Days since 1970-01-01 of an ISO 8601 date (text, or a date of TOML). Raises ValueError."""
    if isinstance(date, str) and re.fullmatch(ISO_DATE, date):
        return float(datetime.date.fromisoformat(date).toordinal() - _EPOCH)
    if isinstance(date, datetime.date) and not isinstance(date, datetime.datetime):
        return float(date.toordinal() - _EPOCH)
    raise ValueError("a date is written as 2024-12-31")


def iso_date(days: float) -> str:
    """The inverse of ``days_of``."""
    return datetime.date.fromordinal(int(days) + _EPOCH).isoformat()


Column = Annotated[CategoryColumn | NumberColumn, Field(discriminator="kind")]
