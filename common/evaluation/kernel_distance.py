"""Kernel distance of features: unbiased at any number of records, unlike the Fréchet distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TooFewRecordsError

_BLOCK, _BLOCKS = 500, 20  # records of each side in a block, and blocks at most


@dataclass(frozen=True, slots=True)
class KernelDistance:
    """value: mean over blocks, around 0 if alike, and may be below; low, high: 95 %, None of one block."""

    value: float
    low: float | None
    high: float | None


def kernel_distance(real: NDArray[Any], synthetic: NDArray[Any]) -> KernelDistance:
    """Unbiased squared MMD with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018), the mean over blocks.

    Called KID where features are Inception's; compare figures of one feature net only.
    real, synthetic: float[records, features], in any random order; blocks of 500 of each side, 20 at most
    Raises TooFewRecordsError with fewer than 2 records on a side.
    """
    count = min(len(real), len(synthetic))
    if count < 2:
        raise TooFewRecordsError("a kernel distance needs at least 2 records on each side")
    size = min(_BLOCK, count)
    found = np.array(
        [
            _block(real[start : start + size], synthetic[start : start + size])
            for start in range(0, min(count // size, _BLOCKS) * size, size)
        ]
    )
    value = float(found.mean())
    if len(found) < 2:
        return KernelDistance(value, None, None)
    from scipy.stats import t

    half = float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
    return KernelDistance(value, value - half, value + half)


def _block(left: NDArray[Any], right: NDArray[Any]) -> float:
    x, y = left.astype(np.float64), right.astype(np.float64)
    n, width = x.shape
    own = [(side @ side.T / width + 1) ** 3 for side in (x, y)]
    same = sum(float(kernel.sum() - np.trace(kernel)) for kernel in own) / (n * (n - 1))
    return float(same) - 2 * float(((x @ y.T / width + 1) ** 3).mean())
