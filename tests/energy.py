"""A distance between two sets of records that no luck makes small."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Energy distance (Szekely and Rizzo 2013): zero for equal distributions alone.

    one, other: float[records, values]
    """

    def mean(a: NDArray[Any], b: NDArray[Any]) -> float:
        return float(np.linalg.norm(a[:, None] - b[None], axis=2).mean())

    return 2 * mean(one, other) - mean(one, one) - mean(other, other)
