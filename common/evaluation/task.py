"""What a classifier is asked: checked against the schema before a run, not after it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..columns import CategoryColumn, NumberColumn
from ..errors import ConfigError
from ..release_terms import Task
from ..schema import TableSchema


def check_task(schema: TableSchema, task: Task) -> tuple[int, list[int], NDArray[np.bool_]]:
    """The target's position, the inputs' positions, and which codes of the target are positive.

    Raises ConfigError if a column or value does not exist, no input is left, or a bin is cut in two.
    """
    unknown = sorted({task.target, *task.exclude} - set(schema.names))
    if unknown:
        raise ConfigError(f"evaluation: the schema has no column {unknown[0]!r}")
    inputs = [i for i, name in enumerate(schema.names) if name not in {task.target, *task.exclude}]
    if not inputs:
        raise ConfigError("evaluation: every column is excluded, none is left to predict from")
    position = schema.names.index(task.target)
    column = schema.columns[position]
    positive = np.zeros(column.size, bool)  # missing is not positive
    if isinstance(column, CategoryColumn):
        positive[_category(column, task)] = True
    else:
        flags = _above(column, task)
        positive[: len(flags)] = flags
    return position, inputs, positive


def _category(column: CategoryColumn, task: Task) -> int:
    values = [str(value) for value in column.categories]
    if task.equals not in values:
        raise ConfigError(
            f"evaluation: {column.name} has no value {task.equals!r}",
            hint="allowed values: " + ", ".join(values),
        )
    return values.index(task.equals)


def _above(column: NumberColumn, task: Task) -> list[bool]:
    """For atoms, then bins: whether all their values are above the threshold."""
    if task.above is None:
        raise ConfigError(f"evaluation: {column.name} is a number, give 'above'")
    step = 10.0**-column.decimals
    low, high = column.bounds
    starts, ends = (low, *column.borders), (*(cut - step for cut in column.borders), high)
    flags = [atom > task.above for atom in column.atoms]
    for start, end in zip(starts, ends, strict=True):
        first = start + step if start in column.atoms else start  # a bin never holds an atom
        if first <= task.above < end - step / 2:
            raise ConfigError(
                f"evaluation: above = {task.above:g} cuts the bin {start:g} .. {end:g} of {column.name}",
                hint="give the last value of a bin, or an atom",
            )
        flags.append(first > task.above)
    return flags
