"""A table's schema as the sampler sees it: values in integer steps, so that constraints are exact."""

from __future__ import annotations

import numpy as np

from ..columns import CategoryColumn, NumberColumn
from ..sampler.columns import Category, Column, Number
from ..sampler.constraints import Constraint, read_constraints
from ..schema import TableSchema


def described(column: CategoryColumn | NumberColumn) -> Column:
    """A column, its bins with their first and last values."""
    if isinstance(column, CategoryColumn):
        return Category(column.name, column.categories, column.ordered, column.missing, column.condition)
    scale = 10**column.decimals
    atoms, borders, ends = (
        np.rint(np.array(values, np.float64) * scale).astype(np.int64)
        for values in (column.atoms, column.borders, column.bounds)
    )
    lows, highs = np.concatenate([ends[:1], borders]), np.concatenate([borders - 1, ends[1:]])
    return Number(
        column.name,
        column.kind == "date",
        column.decimals,
        len(atoms),
        np.concatenate([atoms, lows]),
        np.concatenate([atoms, highs]),
        column.scale == "log",
        column.missing,
    )


def constraints_of(schema: TableSchema) -> tuple[Constraint, ...]:
    """What holds in every record."""
    if not schema.constraints:
        return ()
    raw = schema.model_dump(mode="json")["constraints"]
    return read_constraints(raw, [described(column) for column in schema.columns])
