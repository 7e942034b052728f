"""A sample of a table: conditions as inputs, everything else by rejection, which ends after so many draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .balance import strata
from .columns import Codes, Values
from .conditions import Wanted, read_wanted
from .constraints import completed
from .drawing import draw_groups, values_of
from .errors import ImpossibleError
from .memory import check_fits
from .possible import possible
from .table import Network, Table

_LEAST = 1 << 12  # records drawn before they are judged
_SPARE = 1.1
_APART = 2.0
_KEPT = 2 * (8 + 1)  # bytes of a value: whole numbers and flags, in parts and joined
_TOLD_FROM_NONE = 3.0  # standard deviations of a count's noise: below, a combination may not have occurred


@dataclass(frozen=True, slots=True)
class Limits:
    """free, each: candidates in all, and for each record wanted; at_once: judged together, in memory"""

    free: int
    each: int
    at_once: int

    def candidates(self, count: int) -> int:
        """After how many it gives up on so many records."""
        return self.free + self.each * count


LIMITS = Limits(free=1 << 20, each=100, at_once=1 << 19)
"""Of a command line. Whoever answers requests chooses smaller ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Synthetic records. values: by column, in the schema's order; drawn: candidates, of which they are some.

    extrapolated: combinations of conditions among the records that training saw rarely or never
    """

    table: Table
    values: Mapping[str, Values]
    drawn: int
    accepted: int
    extrapolated: tuple[dict[str, str | int], ...]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())).steps)

    @property
    def acceptance(self) -> float:
        """Share of the drawn candidates that satisfied everything."""
        return self.accepted / self.drawn if self.drawn else 1.0

    def plain(self, rows: slice = slice(None)) -> dict[str, NDArray[Any]]:
        """Columns as written: numbers, texts, ISO dates; None where missing."""
        return {
            column.name: column.plain(self.values[column.name].take(rows)) for column in self.table.columns
        }


def sample(
    table: Table,
    network: Network,
    count: int,
    where: Sequence[str] = (),
    balance: str | None = None,
    seed: int = 0,
    *,
    limits: Limits = LIMITS,
) -> Sample:
    """``count`` records that satisfy ``where`` (``NAME=VALUE``, ``NAME=LOW..HIGH``) and every constraint.

    balance: a condition whose values get equal shares; else conditions occur as the release counted them
    limits: after how many candidates it gives up, and how many are held at once
    Raises UnknownValueError, RequestError (also if so many do not fit into memory), and ImpossibleError if no
    record can satisfy it, or too few did.
    """
    random = np.random.default_rng(seed)
    wanted, grid = read_wanted(where, table), table.grid()
    if count > limits.at_once:  # what is drawn at once takes more than it keeps, whatever is asked for
        check_fits(count, _KEPT * len(table.columns))
    asked = possible(table, wanted, grid)
    judged = {name: one for name, one in wanted.items() if _judged(table, name)}
    parts, drawn, accepted = [], 0, 0
    split = strata(table, balance, grid, asked, count, random)
    for inside, share in split:
        weights = table.prior[inside]
        if weights.sum() == 0.0:  # never counted: every remaining combination alike
            weights = np.ones(len(weights))
        try:
            part, tried, good = _stratum(table, network, grid[inside], weights, share, judged, random, limits)
        except _TooRareError as error:
            raise _too_rare(error, share, limits, balanced=len(split) > 1) from error
        parts.append(part)
        drawn, accepted = drawn + tried, accepted + good
    values = _joined(table, parts)
    if len(parts) > 1:
        order = random.permutation(count)
        values = {name: one.take(order) for name, one in values.items()}
    return Sample(table, values, drawn, accepted, extrapolated(table, values))


def _judged(table: Table, name: str) -> bool:
    column = table.column(name)
    return column is not None and not column.condition


def _stratum(
    table: Table,
    network: Network,
    grid: Codes,
    weights: NDArray[np.float64],
    count: int,
    wanted: Mapping[str, Wanted],
    random: np.random.Generator,
    limits: Limits,
) -> tuple[dict[str, Values], int, int]:
    """Records of some combinations of conditions, how many candidates there were, and how many were good."""
    most = limits.candidates(count)
    parts: list[dict[str, Values]] = []
    drawn = accepted = 0
    batch = min(count, limits.at_once)
    while accepted < count:
        values = values_of(table, draw_groups(table, network, grid, weights, batch, random), random)
        if table.constraints:
            values = completed(table.constraints, values)
        good = _good(table, values, wanted, batch)
        rows = np.nonzero(good)[0]
        kept = rows[: count - accepted]
        parts.append({name: one.take(kept) for name, one in values.items()} if len(kept) < batch else values)
        drawn, accepted = drawn + batch, accepted + len(rows)
        if accepted < count:
            if drawn >= most:
                raise _TooRareError(drawn, accepted)
            rate = (accepted + 1) / (drawn + 2)
            batch = min(limits.at_once, most, max(_LEAST, math.ceil(_SPARE * (count - accepted) / rate)))
    return _joined(table, parts), drawn, accepted


def _good(table: Table, values: Mapping[str, Values], wanted: Mapping[str, Wanted], count: int) -> Any:
    good = np.ones(count, bool)
    for constraint in table.constraints:
        good &= constraint.holds(values)
    for name, one in wanted.items():
        good &= one.holds(values[name])
    return good


def _joined(table: Table, parts: Sequence[Mapping[str, Values]]) -> dict[str, Values]:
    if len(parts) == 1:
        return dict(parts[0])
    nothing = Values(np.zeros(0, np.int64), np.zeros(0, bool))
    return {
        column.name: Values(
            np.concatenate([nothing.steps, *(part[column.name].steps for part in parts)]),
            np.concatenate([nothing.absent, *(part[column.name].absent for part in parts)]),
        )
        for column in table.columns
    }


class _TooRareError(Exception):
    """Too few of the candidates were good."""

    def __init__(self, drawn: int, accepted: int) -> None:
        super().__init__()
        self.drawn, self.accepted = drawn, accepted


def _too_rare(found: _TooRareError, count: int, limits: Limits, balanced: bool) -> ImpossibleError:
    drawn, accepted = found.drawn, found.accepted
    if accepted == 0:
        return ImpossibleError(
            f"none of {drawn} drawn records satisfies all conditions and constraints",
            hint="widen a range or leave out a condition",
        )
    fewer = min(count - 1, attainable(drawn, accepted, limits))
    if balanced:  # another value of the condition may be rarer still
        hint = "widen a range, or do not balance"
    elif fewer > 0:
        hint = f"ask for at most {fewer} records, or widen a range"
    else:
        hint = "widen a range or leave out a condition"
    return ImpossibleError(
        f"only {accepted} of {drawn} drawn records satisfy all that is asked, {count} are wanted", hint=hint
    )


def attainable(drawn: int, accepted: int, limits: Limits) -> int:
    """How many records are drawn almost surely, where so many of the candidates were good.

    Fewer records get fewer candidates. Counts are about Poisson, whose square roots scatter by 1/2: what is
    seen and what will come are held apart by 2, nearly three standard deviations of their difference.
    """
    rate = accepted / drawn
    free, left = rate * limits.free, 1.0 - rate * limits.each
    if free <= _APART**2 or left <= 0.0:
        return 0
    # sqrt(n) + 2 <= sqrt(rate * candidates(n)), solved for n
    root = (math.sqrt(_APART**2 + left * (free - _APART**2)) - _APART) / left
    return math.floor(root * root)


def extrapolated(table: Table, values: Mapping[str, Values]) -> tuple[dict[str, str | int], ...]:
    """Combinations of conditions that occur here, and whose released count its noise alone could make."""
    places = [values[column.name].steps for column in table.conditions]
    present = np.unique(np.ravel_multi_index(places, table.condition_sizes))
    counted = table.prior[present] / max(float(table.prior.sum()), 1e-300) * table.records
    rare = present[(counted < _TOLD_FROM_NONE * table.noise) | (counted == 0)]
    codes = np.unravel_index(rare, table.condition_sizes)
    named = [
        [column.categories[code] for code in part]
        for column, part in zip(table.conditions, codes, strict=True)
    ]
    names = [column.name for column in table.conditions]
    return tuple(dict(zip(names, row, strict=True)) for row in zip(*named, strict=True))
