"""What a visitor asks for, from the query of an address: count, conditions, balance, seed."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from ...sampler.columns import Category, Column
from ...sampler.errors import RequestError
from ..forms import whole_number

IS, LOW, HIGH = "is:", "low:", "high:"
"""Prefixes of a column's name: a category's value, the ends of a range."""

MISSING, VALUE = "missing", "="
"""Of a category: that it shall be missing, or "=" and its value."""

_MOST_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """where: as the sampler reads conditions (``NAME=VALUE``, ``NAME=LOW..HIGH``, ``NAME=``)"""

    count: int
    where: tuple[str, ...]
    balance: str | None
    seed: int


def read(query: QueryParams, columns: Iterable[Column], usual: int, most: int) -> Asked:
    """usual, most: records, if nothing is said, and at most. Raises RequestError."""
    count = _whole(query.get("n", ""), "How many records", usual, 1, most)
    seed = secrets.randbelow(_MOST_SEED) if query.get("again") else None
    if seed is None:
        seed = _whole(query.get("seed", ""), "The seed", 0, 0, _MOST_SEED)
    where = [one for column in columns if (one := _wanted(column, query)) is not None]
    return Asked(count, tuple(where), query.get("balance") or None, seed)


def _wanted(column: Column, query: QueryParams) -> str | None:
    if isinstance(column, Category):
        chosen = query.get(IS + column.name, "")
        if not chosen:
            return None
        if chosen == MISSING:
            return f"{column.name}="
        return f"{column.name}={chosen.removeprefix(VALUE)}"
    low, high = (query.get(end + column.name, "").strip() for end in (LOW, HIGH))
    return f"{column.name}={low}..{high}" if low or high else None


def _whole(text: str, what: str, usual: int, low: int, high: int) -> int:
    text = text.strip()
    if not text:
        return usual
    number = whole_number(text, digits=12)
    if number is None or not low <= number <= high:
        raise RequestError(f"{what} is not understood", hint=f"a whole number from {low:,} to {high:,}")
    return number
