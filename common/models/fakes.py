"""Batches of generated records: what D is shown beside real ones, and what G learns from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .array_generator import ArrayGenerator
from .encoding import AnyLayout, condition_tensor
from .tabular import Generator


class Fakes:
    """Batches of generated records [B, W], conditions drawn from the released prior."""

    def __init__(
        self,
        generator: Generator | ArrayGenerator,
        layout: AnyLayout,
        prior: NDArray[np.float64],
        random: torch.Generator,
    ) -> None:
        self._generator, self._random = generator, random
        self._prior = torch.from_numpy(prior)
        self._grid = condition_tensor(layout.condition_grid(), layout)

    def __call__(self, batch: int) -> Tensor:
        """``batch`` records whose gradients reach the generator."""
        noise, conditions = self.start(batch)
        return self.finish(noise, conditions)

    def start(self, batch: int) -> tuple[Tensor, Tensor]:
        """Noise [B, Z] and one-hot conditions [B, C] to generate from."""
        drawn = torch.multinomial(self._prior, batch, replacement=True, generator=self._random)
        return self._generator.points(batch, self._random), self._grid[drawn]

    def finish(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Records [B, W] generated from these."""
        made = self._generator.draw(noise, conditions, self._random)
        return torch.cat([made, conditions], dim=1)
