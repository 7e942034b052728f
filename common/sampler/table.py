"""What a table's generator says about itself, apart from its network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Category, Codes, Column, Number
from .constraints import Constraint, read_constraints

MOST_CODES, MOST_COMBINATIONS, MOST_LATENTS = 1 << 15, 1 << 20, 1 << 20

Network = Callable[[NDArray[np.int64], Codes], NDArray[Any]]
"""Latent points int64[M] and condition codes int64[M, conditions] to probabilities [M, groups]."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns in order, how the codes a network draws are shared out, and what the release counted.

    widths: groups of each column; groups: of each code, int64[codes of all columns]; shares: of its group,
    float64 of the same length; prior: share of each combination of conditions, the last condition fastest
    latents: equally likely points; records: estimated units; noise: deviation of a combination's count
    """

    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...]
    widths: tuple[int, ...]
    groups: NDArray[np.int64]
    shares: NDArray[np.float64]
    prior: NDArray[np.float64]
    latents: int
    records: float
    noise: float

    @property
    def conditions(self) -> list[Category]:
        """The columns that are inputs of the network."""
        return [column for column in self.columns if isinstance(column, Category) and column.condition]

    @property
    def condition_sizes(self) -> tuple[int, ...]:
        """Values of each condition."""
        return tuple(column.size for column in self.conditions)

    @property
    def generated(self) -> list[int]:
        """Positions of the columns that the network draws."""
        return [place for place, column in enumerate(self.columns) if not column.condition]

    @property
    def order(self) -> list[int]:
        """Positions of all columns as the network has them: conditions last."""
        return [*self.generated, *(place for place, column in enumerate(self.columns) if column.condition)]

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each column's codes begin in ``groups`` and ``shares``."""
        return np.concatenate([[0], np.cumsum([column.size for column in self.columns])]).astype(np.int64)

    def grid(self) -> Codes:
        """All combinations of conditions, int64[combinations, conditions]."""
        return np.indices(self.condition_sizes, np.int64).reshape(len(self.condition_sizes), -1).T

    def column(self, name: str) -> Column | None:
        """By its name."""
        return next((column for column in self.columns if column.name == name), None)


def table_metadata(table: Table) -> dict[str, Any]:
    """A table as JSON values, for ``read_table``; ``constraints`` are the schema's and not among them.

    Columns stand as the network has them, conditions last; ``sizes`` and ``ends`` repeat what they say, for
    whoever draws without this package.
    """
    order = table.order
    return {
        "columns": [_written(table.columns[place]) for place in order],
        "order": order,
        "sizes": list(table.condition_sizes),
        "ends": np.cumsum([table.columns[place].size for place in table.generated])[:-1].tolist(),
        "widths": list(table.widths),
        "groups": table.groups.tolist(),
        "shares": table.shares.tolist(),
        "prior": table.prior.tolist(),
        "latents": table.latents,
        "records": table.records,
        "noise": table.noise,
    }


def _written(column: Column) -> dict[str, Any]:
    common = {"name": column.name, "condition": column.condition, "size": column.size}
    if isinstance(column, Category):
        values = [*column.categories, *([None] if column.missing else [])]
        return {**common, "kind": "category", "values": values, "ordered": column.ordered}
    return {
        **common,
        "kind": "date" if column.date else "number",
        "decimals": column.decimals,
        "atoms": column.atoms,
        "lows": [*column.lows.tolist(), *([None] if column.missing else [])],
        "counts": [*(column.highs - column.lows + 1).tolist(), *([0] if column.missing else [])],
        "log": column.log,
    }


def read_table(about: dict[str, Any]) -> Table:
    """The inverse, with ``constraints``. Raises ValueError, KeyError or TypeError on anything else."""
    found = [_read(entry) for entry in about["columns"]]
    if sorted(about["order"]) != list(range(len(found))):
        raise ValueError("no order of these columns")
    columns = tuple(found[place] for place in np.argsort(about["order"]))
    table = Table(
        columns,
        read_constraints(about["constraints"], columns),
        tuple(int(width) for width in about["widths"]),
        _vector(about["groups"], np.int64),
        _vector(about["shares"], np.float64),
        _vector(about["prior"], np.float64),
        int(about["latents"]),
        float(about["records"]),
        float(about["noise"]),
    )
    _check(table)
    if about["order"] != table.order:
        raise ValueError("another order than the network's")
    return table


def _vector(entries: Any, kind: type[Any]) -> NDArray[Any]:
    found = np.array(entries)
    if not isinstance(entries, list) or found.ndim != 1 or found.dtype.kind not in "if":
        raise ValueError("no list of numbers")
    if kind is np.int64 and found.dtype.kind != "i":
        raise ValueError("no list of integers")
    return found.astype(kind)


def _read(entry: dict[str, Any]) -> Column:
    name, size = entry["name"], entry["size"]
    if not isinstance(name, str):
        raise ValueError("a column without a name")
    if entry["kind"] == "category":
        values = entry["values"]
        missing = values[-1] is None
        known = tuple(values[:-1] if missing else values)
        if len(known) < 2 or len({type(value) for value in known}) != 1 or type(known[0]) not in (str, int):
            raise ValueError("categories of no one type")
        column: Column = Category(name, known, bool(entry["ordered"]), missing, bool(entry["condition"]))
    else:
        missing = entry["lows"][-1] is None
        lows, counts = (
            _vector(entry[key][: -1 if missing else None], np.int64) for key in ("lows", "counts")
        )
        highs = lows + counts - 1
        atoms, decimals = int(entry["atoms"]), int(entry["decimals"])
        sound = lows.shape == highs.shape and len(lows) and (lows <= highs).all()
        if entry["kind"] not in ("number", "date") or not sound or entry["condition"]:
            raise ValueError("a column of no known kind")
        if (
            not 0 <= atoms < len(lows)
            or not 0 <= decimals <= 9
            or max(abs(lows).max(), abs(highs).max()) > 2**53
        ):
            raise ValueError("values that do not fit")
        log = bool(entry["log"])
        column = Number(name, entry["kind"] == "date", decimals, atoms, lows, highs, log, missing)
    if column.size != size or (column.condition and column.missing):
        raise ValueError("a column with other codes than it says")
    return column


def _check(table: Table) -> None:
    codes, combinations = int(table.starts[-1]), math.prod(table.condition_sizes)
    names = {column.name for column in table.columns}
    owner = np.repeat(np.arange(len(table.columns)), [column.size for column in table.columns])
    if len(names) != len(table.columns) or not table.conditions or codes > MOST_CODES:
        raise ValueError("columns that are no table")
    if len(table.widths) != len(table.columns) or min(table.widths) < 1:
        raise ValueError("groups of other columns")
    if not codes == len(table.groups) == len(table.shares):
        raise ValueError("a grouping of other codes")
    if (table.groups < 0).any() or (table.groups >= np.array(table.widths)[owner]).any():
        raise ValueError("a group that does not exist")
    if combinations > MOST_COMBINATIONS or table.prior.shape != (combinations,):
        raise ValueError("a prior of other conditions")
    for part in (table.shares, table.prior, np.array([table.records, table.noise])):
        if not ((part >= 0) & (part < np.inf)).all():
            raise ValueError("a share that is none")
    key = owner * MOST_CODES + table.groups
    totals = np.bincount(np.unique(key, return_inverse=True)[1], table.shares)
    if not np.allclose(totals, 1.0, atol=1e-6) or not 1 <= table.latents <= MOST_LATENTS:
        raise ValueError("shares that are none of these groups")


def parse_json(text: str) -> Any:
    """JSON without NaN and infinities. Raises ValueError."""

    def refuse(_: str) -> None:
        raise ValueError("a number that is none")

    return json.loads(text, parse_constant=refuse)
