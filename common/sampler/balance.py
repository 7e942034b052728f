"""Equal shares of a condition's values: one stratum each, filled by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .columns import Codes
from .errors import RequestError
from .table import Table

Flags = NDArray[np.bool_]


def strata(
    table: Table, balance: str | None, grid: Codes, asked: Flags, count: int, random: np.random.Generator
) -> list[tuple[Flags, int]]:
    """Combinations of conditions of each stratum, bool[G], and how many records it gets.

    One stratum of all that was asked for if nothing is to be balanced; records that do not divide evenly go
    to values chosen at random. Raises RequestError unless ``balance`` is a condition.
    """
    if balance is None:
        return [(asked, count)]
    names = [column.name for column in table.conditions]
    if balance not in names:
        raise RequestError(
            f"{balance!r} is no condition of this generator, so it cannot be balanced",
            hint="conditions are: " + ", ".join(names),
        )
    codes = grid[:, names.index(balance)]
    values = np.unique(codes[asked])
    counts = np.full(len(values), count // len(values))
    counts[random.permutation(len(values))[: count % len(values)]] += 1
    return [
        (asked & (codes == value), int(share)) for value, share in zip(values, counts, strict=True) if share
    ]
