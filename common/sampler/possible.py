"""What is impossible by the schema alone: said at once, before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .columns import Category, Codes, Number
from .conditions import Wanted
from .constraints import AtMost, Constraint, Implies
from .errors import ImpossibleError
from .table import Table

Flags = NDArray[np.bool_]

_HINT = "leave out one of the conditions; fedcgan schema show lists what holds in every record"


def possible(table: Table, wanted: Mapping[str, Wanted], grid: Codes) -> Flags:
    """Combinations of conditions, bool[G], that were asked for and that no constraint rules out.

    Raises ImpossibleError if none is left, or two ranges contradict a constraint.
    """
    asked = np.ones(len(grid), bool)
    for column, codes in zip(table.conditions, grid.T, strict=True):
        if column.name in wanted:
            allowed = wanted[column.name].codes
            assert allowed is not None
            asked &= allowed[codes]
    for constraint in table.constraints:
        if isinstance(constraint, AtMost) and _never_ordered(table, wanted, constraint):
            raise _contradiction(constraint)
        if isinstance(constraint, Implies):
            asked &= ~_broken(table, wanted, grid, constraint)
            if not asked.any():
                raise _contradiction(constraint)
    return asked


def _contradiction(constraint: Constraint) -> ImpossibleError:
    return ImpossibleError(f"no record can satisfy that: the schema says that {constraint}", hint=_HINT)


def _never_ordered(table: Table, wanted: Mapping[str, Wanted], constraint: AtMost) -> bool:
    """Whether every value of the left is above every one of the right, and neither may be missing."""
    ends = []
    for side, (name, scale) in enumerate(zip(constraint.columns, constraint.scales, strict=True)):
        column, asked = table.column(name), wanted.get(name)
        assert isinstance(column, Number)
        if asked.absent if asked else column.missing:
            return False
        bounds = (asked.low, asked.high) if asked else column.bounds
        ends.append(bounds[side] * scale)
    return ends[0] > ends[1]


def _broken(table: Table, wanted: Mapping[str, Wanted], grid: Codes, constraint: Implies) -> Flags:
    """Where all of ``when`` is known to be so, and some of ``then`` cannot be: bool[G]."""
    conditions = {column.name: codes for column, codes in zip(table.conditions, grid.T, strict=True)}
    met, broken = np.ones(len(grid), bool), np.zeros(len(grid), bool)
    for name, code in constraint.when:
        if name in conditions:
            met &= conditions[name] == code
        else:
            met &= name in wanted and _only(wanted[name], code)
    for name, allowed in constraint.then:
        if name in conditions:
            broken |= ~np.isin(conditions[name], () if allowed is None else allowed)
        elif name in wanted:
            broken |= not _overlaps(wanted[name], allowed, table.column(name))
    return met & broken


def _only(asked: Wanted, code: int) -> bool:
    return asked.codes is not None and bool(asked.codes[code]) and int(asked.codes.sum()) == 1


def _overlaps(asked: Wanted, allowed: tuple[int, ...] | None, column: Category | Number | None) -> bool:
    if asked.absent or allowed is None:
        return asked.absent and allowed is None
    if isinstance(column, Category):
        assert asked.codes is not None
        return bool(asked.codes[list(allowed)].any())
    return any(asked.low <= steps <= asked.high for steps in allowed)
