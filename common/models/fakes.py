"""Batches of generated records: what D is shown beside real ones, and what G learns from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..modalities.layout import Layout
from .tabular import Generator, condition_one_hot


class Fakes:
    """Batches of generated records [B, F + C], conditions drawn from the released prior."""

    def __init__(
        self,
        generator: Generator,
        layout: Layout,
        prior: NDArray[np.float64],
        random: torch.Generator,
    ) -> None:
        self._generator, self._random = generator, random
        self._prior = torch.from_numpy(prior)
        self._grid = condition_one_hot(layout, layout.condition_grid())

    def __call__(self, batch: int) -> Tensor:
        """``batch`` one-hot records whose gradients reach the generator."""
        drawn = torch.multinomial(self._prior, batch, replacement=True, generator=self._random)
        conditions = self._grid[drawn]
        latents = self._generator.latents
        noise = latents[torch.randint(len(latents), (batch,), generator=self._random)]
        logits = self._generator(noise, conditions)
        sample = self._generator.columns.one_hot_sample(logits, self._random)
        return torch.cat([sample, conditions], dim=1)
