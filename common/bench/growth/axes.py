"""The axes along which cost is measured, and what everything else is meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ...columns import CategoryColumn, NumberColumn
from ...schema import TableSchema
from ..scale import RECORDS, SCHEMA, Schedule
from ..scale import measure as simulate
from . import apart


class Along(StrEnum):
    """What grows."""

    SITES = "sites"
    PARAMETERS = "parameters"
    CLASSES = "classes"
    COLUMNS = "columns"
    RECORDS = "records"


@dataclass(frozen=True, slots=True)
class Axis:
    """values: measured if none are given; fixed: everything else, in words; point: measures one value

    A point has ``seconds`` by phase, ``whole`` among them, ``peak_bytes`` of one process, and ``bytes``.
    """

    values: tuple[int, ...]
    fixed: str
    point: Callable[[int, Schedule], dict[str, Any]]


_FEW = 3  # sites, where something else grows
_TABLE = 2000  # records a site, where columns or classes grow


def _sites(value: int, schedule: Schedule) -> dict[str, Any]:
    return _simulated(value, schedule, SCHEMA, RECORDS)


def _classes(value: int, schedule: Schedule) -> dict[str, Any]:
    label = CategoryColumn(name="label", categories=tuple(f"c{i}" for i in range(value)), condition=True)
    others = tuple(column for column in SCHEMA.columns if not column.condition)
    return _simulated(_FEW, schedule, TableSchema(name="classes", columns=(*others, label)), _TABLE)


def _columns(value: int, schedule: Schedule) -> dict[str, Any]:
    return _simulated(_FEW, schedule, wide(value), _TABLE)


def wide(columns: int) -> TableSchema:
    """A table of so many columns: numbers of 10 bins and categories of 4 in turn, and a label of 2."""
    cuts = tuple(float(cut) for cut in range(10, 100, 10))
    made = [
        NumberColumn(name=f"number_{i}", bounds=(0, 100), decimals=0, cuts=cuts)
        if i % 2
        else CategoryColumn(name=f"kind_{i}", categories=("a", "b", "c", "d"))
        for i in range(1, columns)
    ]
    label = CategoryColumn(name="label", categories=("no", "yes"), condition=True)
    return TableSchema(name="wide", columns=(*made, label))


def _simulated(sites: int, schedule: Schedule, schema: TableSchema, records: int) -> dict[str, Any]:
    result = simulate(sites, schedule, schema=schema, records=records)
    result["bytes"] = {who: count for who, count in result["bytes"].items() if count}  # all may hold a share
    return {key: result[key] for key in ("seconds", "encryption_seconds", "peak_bytes", "bytes", "epsilon")}


AXES = {
    Along.SITES: Axis(
        (3, 10, 30, 100, 200, 500),
        f"fedcgan simulate, all sites in one process; {RECORDS} made-up records a site, "
        f"{len(SCHEMA.columns)} columns, a fit of 100 steps",
        _sites,
    ),
    Along.PARAMETERS: Axis(
        (10_000, 100_000, 1_000_000, 10_000_000),
        f"one secure sum of {apart.SUM_SITES} sites, {apart.SUM_LEAST} of which open it; one process plays "
        "all parties, one after the other",
        apart.secure_sum,
    ),
    Along.CLASSES: Axis(
        (2, 5, 10, 20, 50, 100),
        f"fedcgan simulate, {_FEW} sites in one process; {_TABLE} made-up records a site, "
        "5 columns, the label among them; a fit of 100 steps",
        _classes,
    ),
    Along.COLUMNS: Axis(
        (10, 20, 50, 100, 200, 500),
        f"fedcgan simulate, {_FEW} sites in one process; {_TABLE} made-up records a site, numbers of 10 bins "
        "and categories of 4 in turn; a fit of 100 steps",
        _columns,
    ),
    Along.RECORDS: Axis(
        (10_000, 30_000, 100_000, 300_000, 1_000_000),
        f"one site reads Parquet, keeps some records out, and computes both sums; {len(SCHEMA.columns)} "
        "columns",
        apart.one_site,
    ),
}
