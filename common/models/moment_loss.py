"""How far a generator's one-way and two-way moments are from released ones: exact, differentiable."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..modalities.gram import GramFeatures
from .encoding import condition_tensor
from .objective import AnyGenerator
from .tabular import Generator

Array = NDArray[np.float64]


class MomentLoss:
    """Squared errors of moments in units of their noise, averaged over all pairs of codes.

    A generator is a finite mixture: each of its K latents gives, under given conditions, one distribution for
    each column. So its moments are exact sums over latents and combinations of conditions, and the loss has
    no sampling noise. At the truth it is about 1 for the measured pairs.

    singles: float64[C, W], pairs: float64[C, W, W], shares of all units in each class; single_precision,
    pair_precision: of the same in units of noise**-2; prior: of each combination of conditions
    """

    def __init__(
        self,
        features: GramFeatures,
        singles: Array,
        pairs: Array,
        single_precision: Array,
        pair_precision: Array,
        noise: float,
        prior: Array,
    ) -> None:
        layout = features.layout
        order, rest = _by_class(features)
        self._classes = features.classes
        self._grid = condition_tensor(layout.condition_grid()[order], layout)
        self._rest = self._grid[:, torch.from_numpy(rest)]
        self._prior = torch.tensor(prior[order], dtype=torch.float32)
        used = (pair_precision > 0).any(1)  # groups without a code have no moments
        self._used = torch.from_numpy(np.nonzero(used)[0])
        self._pairs = torch.tensor(pairs[:, used][:, :, used], dtype=torch.float32)
        self._singles = torch.tensor(singles[:, used], dtype=torch.float32)
        self._pair_precision = torch.tensor(pair_precision[used][:, used], dtype=torch.float32)
        self._single_precision = torch.tensor(single_precision[:, used], dtype=torch.float32)
        self._scale = 1.0 / (noise**2 * max(1, int((pair_precision > 0).sum()) * features.classes))

    def __call__(self, generator: AnyGenerator) -> Tensor:
        """The loss: a scalar."""
        assert isinstance(generator, Generator)
        records, weights = self.mixture(generator)
        records = records[:, :, self._used]
        weighted = records * weights
        second = weighted.transpose(1, 2) @ records - self._pairs
        first = weighted.sum(1) - self._singles
        total = (second**2 * self._pair_precision).sum() + 2 * (first**2 * self._single_precision).sum()
        return total * self._scale

    def mixture(self, generator: Generator) -> tuple[Tensor, Tensor]:
        """Column probabilities and other conditions [C, rows, W], and each row's share [C, rows, 1]."""
        latents, grid = generator.latents, self._grid
        soft = generator.columns.probabilities(
            generator(latents.repeat(len(grid), 1), grid.repeat_interleave(len(latents), dim=0))
        )
        rest = self._rest.repeat_interleave(len(latents), dim=0)
        records = torch.cat([soft, rest], dim=1).view(self._classes, -1, soft.shape[1] + rest.shape[1])
        shares = self._prior.repeat_interleave(len(latents)) / len(latents)
        return records, shares.view(self._classes, -1, 1)


def _by_class(features: GramFeatures) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Combinations of conditions ordered by class, and the one-hot places of conditions that do not split."""
    layout = features.layout
    member = features.member(layout.condition_grid())
    owner = np.repeat(np.arange(len(layout.conditions)) + len(layout.generated), layout.conditions)
    return np.argsort(member, kind="stable"), np.nonzero(~np.isin(owner, features.split))[0]
