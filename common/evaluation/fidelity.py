"""Total variation distance between two tables, on the codes of the schema."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..modalities.gram import GramFeatures
from ..modalities.layout import Layout
from ..modalities.tabular import Codes


@dataclass(frozen=True, slots=True)
class Distances:
    """Means over columns (one_way) and over pairs of columns (two_way), each in [0, 1]."""

    one_way: float
    two_way: float


def distances(left: Codes, right: Codes, sizes: list[int]) -> Distances:
    """Half the sum of absolute differences of shares, averaged over marginals."""
    k = len(sizes)
    pairs = GramFeatures(Layout(tuple(sizes), (), tuple(range(k))), (), 0.0)
    singles = [
        np.abs(
            np.bincount(left[:, j], minlength=n) / len(left)
            - np.bincount(right[:, j], minlength=n) / len(right)
        )
        for j, n in enumerate(sizes)
    ]
    two_way = np.abs(_shares(left, pairs) - _shares(right, pairs)).sum() / 2
    return Distances(
        one_way=float(np.concatenate(singles).sum() / 2 / k),
        two_way=float(two_way / (k * (k - 1))),
    )


def _shares(codes: Codes, pairs: GramFeatures) -> NDArray[np.float64]:
    """Two-way shares, every pair twice."""
    return pairs.matrices(pairs.sum(codes, np.full(len(codes), 1 / len(codes))))
