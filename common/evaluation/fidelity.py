"""Total variation distance between two tables, on the codes of the schema."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..modalities.tabular import Codes, GramFeatures


@dataclass(frozen=True, slots=True)
class Distances:
    """Means over columns (one_way) and over pairs of columns (two_way), each in [0, 1]."""

    one_way: float
    two_way: float


def distances(left: Codes, right: Codes, sizes: list[int]) -> Distances:
    """Half the sum of absolute differences of shares, averaged over marginals."""
    features = GramFeatures(tuple(sizes), 1.0)
    difference = np.abs(_shares(left, features) - _shares(right, features)) / 2
    rows, columns = features.indices
    single = rows == columns
    k = len(sizes)
    return Distances(
        one_way=float(difference[single].sum() / k),
        two_way=float(difference[~single].sum() / (k * (k - 1) / 2)),
    )


def _shares(codes: Codes, features: GramFeatures) -> NDArray[np.float64]:
    return features.sum(codes) / len(codes)
