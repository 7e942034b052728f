"""Records from a finite mixture: each latent point, with given conditions, is one distribution a column.

The network is asked once for each point and condition that occur; members are drawn by inverse distribution
functions. Conditions, points and codes are spread evenly instead of drawn independently (systematic and
stratified sampling), so that shares of a sample are those of the generator up to rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .columns import Codes, Values
from .table import Network, Table

Array = NDArray[np.float64]

_ROWS = 1 << 16  # drawn at once, which bounds memory
_CELLS = 1 << 24  # probabilities held at once
_BELOW_ONE = 1 - 1e-9


def draw_groups(
    table: Table, network: Network, grid: Codes, weights: Array, count: int, random: np.random.Generator
) -> Codes:
    """Grouped codes in schema order, in random order: int64[count, columns], each column contiguous.

    grid: combinations of conditions to draw from, int64[G, conditions]; weights: their shares, float64[G]
    """
    combination, latent = _components(table.latents, weights, count, random)
    places = random.permutation(count)
    rows = np.empty((count, len(table.columns)), np.int64, order="F")
    widths = [table.widths[place] for place in table.generated]
    conditions = table.order[len(table.generated) :]
    at_once = max(1 << 10, min(_ROWS, _CELLS // sum(widths)))
    for start in range(0, count, at_once):
        part = slice(start, start + at_once)
        component, member = np.unique(combination[part] * table.latents + latent[part], return_inverse=True)
        chosen = grid[component // table.latents]
        chances = network(component % table.latents, chosen)
        for j, chance in zip(table.generated, np.split(chances, np.cumsum(widths)[:-1], axis=1), strict=True):
            rows[places[part], j] = _members(chance, member, random)
        for j, codes in zip(conditions, chosen.T, strict=True):
            rows[places[part], j] = codes[member]
    return rows


def _components(
    latents: int, weights: Array, count: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Combinations by their weights and latent points alike, both ascending: int64[count] each."""
    ends = np.cumsum(weights)
    ends, starts = ends / ends[-1], np.concatenate([[0.0], ends[:-1] / ends[-1]])
    place = (np.arange(count) + random.random()) / max(count, 1)
    combination = np.minimum(np.searchsorted(ends, place, side="right"), len(ends) - 1)
    while (empty := weights[combination] <= 0).any():  # only past the last one, by rounding
        combination[empty] -= 1
    within = (place - starts[combination]) / (ends - starts)[combination]
    return combination, np.clip(within * latents, 0, latents - 1).astype(np.int64)


def _members(chances: NDArray[np.floating], member: NDArray[np.int64], random: np.random.Generator) -> Codes:
    """A group for each row, by the distribution that ``member`` names: one search in all of them joined."""
    ends = np.cumsum(chances, axis=1, dtype=np.float64)
    ends /= ends[:, -1:]
    width = ends.shape[1]
    joined = (ends + np.arange(len(ends))[:, None]).ravel()
    found = np.searchsorted(joined, member + evenly(member, random) * _BELOW_ONE, side="right")
    return np.asarray(np.minimum(found - member * width, width - 1), np.int64)


def spread(
    codes_of: NDArray[np.int64], shares: Array, grouped: NDArray[np.int64], random: np.random.Generator
) -> Codes:
    """A column's groups to codes: the rows of a group are spread evenly over its codes by their shares.

    codes_of: the group of each code, int64[codes]; grouped: int64[records]
    """
    order = np.argsort(codes_of, kind="stable")
    used = np.unique(codes_of)
    rank = np.searchsorted(used, grouped)
    if len(used) == len(codes_of):
        return np.asarray(order[np.minimum(rank, len(used) - 1)])
    ends = np.cumsum(shares[order])  # of the groups used, the g-th spans (g, g + 1]
    place = np.searchsorted(ends, rank + evenly(rank, random) * _BELOW_ONE + 1e-12)
    return np.asarray(order[np.minimum(place, len(codes_of) - 1)])


def evenly(groups: NDArray[np.int64], random: np.random.Generator) -> Array:
    """A number in [0, 1) for each row, spread evenly over the rows of a group: float64[rows].

    One draw in each of as many equal intervals as the group has rows (McKay, Beckman, Conover 1979).
    """
    if not len(groups):
        return np.zeros(0)
    counts = np.bincount(groups)
    shuffled = random.permutation(len(groups))
    narrow = groups.astype(np.uint16) if len(counts) <= 1 << 16 else groups  # sorted by radix, much quicker
    order = shuffled[np.argsort(narrow[shuffled], kind="stable")]
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(groups))
    rank[order] = np.arange(len(groups)) - np.repeat(starts, counts)
    return np.asarray((rank + random.random(len(groups))) / counts[groups])


def values_of(table: Table, grouped: Codes, random: np.random.Generator) -> dict[str, Values]:
    """Grouped codes to values of every column, by name."""
    found = {}
    for j, column in enumerate(table.columns):
        part = slice(table.starts[j], table.starts[j + 1])
        codes = spread(table.groups[part], table.shares[part], grouped[:, j], random)
        found[column.name] = column.draw(codes, random)
    return found
