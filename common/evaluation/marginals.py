"""How far marginals of two tables lie apart, of one, two and three columns, and how columns hang together.

All on codes, int64[records, columns]; ``sizes``: codes of each column.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..modalities.tabular import Codes

MOST_MARGINALS = 300
"""Of one order; of more, so many are chosen at random with a public seed."""

_MOST_CELLS = 1 << 26  # of a marginal that is counted densely
_GROUPS = 20  # of records, for the jackknife
_SEED, _Z = 20_240_605, 1.96


@dataclass(frozen=True, slots=True)
class Distance:
    """A mean over ``marginals`` of ``possible`` ones, with its 95 % interval."""

    value: float
    low: float
    high: float
    marginals: int
    possible: int


def chosen(columns: int, order: int) -> list[tuple[int, ...]]:
    """Marginals of an order, at most ``MOST_MARGINALS``; the same for everybody."""
    every = list(combinations(range(columns), order))
    if len(every) <= MOST_MARGINALS:
        return every
    rows = np.random.default_rng(_SEED).permutation(len(every))[:MOST_MARGINALS]
    return [every[row] for row in np.sort(rows)]


def total_variation(left: Codes, right: Codes, sizes: list[int], order: int) -> Distance:
    """Mean total variation distance over marginals of ``order`` columns, in [0, 1].

    Interval by the delta method over records: a record's part in the distance is half the sign of its cell's
    difference. Fewer records give higher distances, even of equal laws: compare with a reference.
    """
    marginals = chosen(len(sizes), order)
    total, parts = 0.0, [np.zeros(len(left)), np.zeros(len(right))]
    for columns in marginals:
        cells = [_cells(codes, columns, sizes) for codes in (left, right)]
        if np.prod([float(sizes[column]) for column in columns]) > _MOST_CELLS:
            _, both = np.unique(np.concatenate(cells), return_inverse=True)
            cells = [both[: len(left)], both[len(left) :]]
        count = 1 + max(int(side.max()) for side in cells)
        shares = [np.bincount(side, minlength=count) / len(side) for side in cells]
        difference = shares[0] - shares[1]
        total += float(np.abs(difference).sum()) / 2
        signs = np.sign(difference) / 2
        for place, side in enumerate(cells):
            parts[place] += signs[side]
    value = total / len(marginals)
    spread = sum(float((part / len(marginals)).var()) / len(part) for part in parts)
    half = _Z * float(np.sqrt(spread))
    possible = len(list(combinations(range(len(sizes)), order)))
    return Distance(value, max(0.0, value - half), min(1.0, value + half), len(marginals), possible)


def _cells(codes: Codes, columns: tuple[int, ...], sizes: list[int]) -> NDArray[np.int64]:
    cell = np.zeros(len(codes), np.int64)
    for column in columns:
        cell = cell * sizes[column] + codes[:, column]
    return cell


def association(left: Codes, right: Codes, sizes: list[int]) -> Distance:
    """Mean absolute difference of Cramér's V over pairs of columns, in [0, 1] (Cramér 1946).

    V tells how far a column determines another, whatever their order. Interval by a jackknife over twenty
    groups of the records of each side.
    """
    pairs = chosen(len(sizes), 2)
    values, others = (np.zeros((len(pairs), _GROUPS + 1)) for _ in range(2))
    for place, columns in enumerate(pairs):
        for found, codes in ((values, left), (others, right)):
            found[place] = _cramer(codes, columns, sizes)
    value = float(np.abs(values[:, 0] - others[:, 0]).mean())
    spread = 0.0
    for without in (
        np.abs(values[:, 1:] - others[:, :1]).mean(0),
        np.abs(values[:, :1] - others[:, 1:]).mean(0),
    ):
        spread += (_GROUPS - 1) * float(without.var())
    half = _Z * float(np.sqrt(spread))
    possible = len(sizes) * (len(sizes) - 1) // 2
    return Distance(value, max(0.0, value - half), min(1.0, value + half), len(pairs), possible)


def _cramer(codes: Codes, columns: tuple[int, ...], sizes: list[int]) -> NDArray[np.float64]:
    """V of all records, then without each group: float64[1 + groups]."""
    shape = (sizes[columns[0]], sizes[columns[1]])
    group = np.arange(len(codes)) % _GROUPS
    cells = group * (shape[0] * shape[1]) + _cells(codes, columns, sizes)
    counts = np.bincount(cells, minlength=_GROUPS * shape[0] * shape[1]).reshape(_GROUPS, *shape)
    whole = counts.sum(0, keepdims=True)
    tables = np.concatenate([whole, whole - counts]).astype(np.float64)
    rows, others = tables.sum(2, keepdims=True), tables.sum(1, keepdims=True)
    expected = rows * others
    squares = np.divide(tables**2, expected, out=np.zeros_like(tables), where=expected > 0).sum((1, 2))
    used = np.minimum((rows > 0).sum((1, 2)), (others > 0).sum((1, 2)))  # codes that occur
    return np.asarray(np.sqrt(((squares - 1) / np.maximum(used - 1, 1)).clip(0, 1)), np.float64)
