"""The loss of moments where only some pairs of columns are measured: products of these pairs alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..modalities.gram import GramFeatures
from ..modalities.neighbours import NeighbourFeatures
from .moment_loss import MomentLoss
from .objective import AnyGenerator
from .tabular import Generator

_LEAST_CHUNK = 8  # columns whose products with their neighbours are one matrix product


class NeighbourLoss(MomentLoss):
    """The same number as ``MomentLoss`` on the same moments, at the cost of the measured pairs."""

    def __init__(self, features: NeighbourFeatures, *moments: Any) -> None:
        super().__init__(features, *moments)
        owner = features.owner[self._used.numpy()]
        self._strips = [
            (rows, columns, self._pairs[:, rows, columns].clone(), 2 * self._weights(owner, rows, columns))
            for rows, columns in strips(owner, features)
        ]
        del self._pairs, self._pair_precision

    def _weights(self, owner: NDArray[np.int64], rows: slice, columns: slice) -> Tensor:
        once = torch.from_numpy(owner[rows, None] < owner[columns])
        return self._pair_precision[rows, columns] * once

    def __call__(self, generator: AnyGenerator) -> Tensor:
        """The loss: a scalar."""
        assert isinstance(generator, Generator)
        records, weights = self.mixture(generator)
        records = records[:, :, self._used]
        weighted = records * weights
        first = weighted.sum(1) - self._singles
        total = 2 * (first**2 * self._single_precision).sum()
        for rows, columns, pairs, precision in self._strips:
            second = weighted[:, :, rows].transpose(1, 2) @ records[:, :, columns] - pairs
            total = total + (second**2 * precision).sum()
        return total * self._scale


def strips(owner: NDArray[np.int64], features: NeighbourFeatures) -> list[tuple[slice, slice]]:
    """Rectangles of a Gram matrix in which all measured pairs lie, each pair of columns in one.

    owner: ascending, which of ``features.columns`` each row and column of the matrix belongs to
    """

    def places(first: int, end: int) -> slice:
        return slice(int(np.searchsorted(owner, first)), int(np.searchsorted(owner, end)))

    free, reach = features.generated, features.neighbours
    chunk = max(_LEAST_CHUNK, reach)
    ends = [(first, min(first + chunk, free)) for first in range(0, free, chunk)]
    found = [(places(first, end), places(first, min(end + reach, free))) for first, end in ends]
    count = len(features.sizes)
    return [*found, (places(0, count), places(free, count))] if free < count else found


def loss_of(features: GramFeatures) -> type[MomentLoss]:
    """The class of the loss on these features' moments."""
    return NeighbourLoss if isinstance(features, NeighbourFeatures) else MomentLoss
