"""What all generators of images and signals have in common: their noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ..phases import ArrayModel


class ArrayGenerator(nn.Module):
    """(noise [B, Z], one-hot labels [B, C]) to values [B, V] between -1 and 1."""

    def __init__(self, model: ArrayModel) -> None:
        super().__init__()
        self.latent, self.categories, self.factors = model.latent, model.categories, model.factors

    def points(self, batch: int, random: torch.Generator) -> Tensor:
        """Noise to start from, [B, Z]: standard normal, but for the codes of a plan that has them.

        These come first: a one-hot choice of ``categories``, then ``factors`` uniform numbers from -1 to 1.
        """
        noise = torch.randn(batch, self.latent, generator=random)
        start, end = self.categories, self.categories + self.factors
        if self.categories:
            noise[:, :start] = one_hot(torch.randint(start, (batch,), generator=random), start).to(noise)
        if self.factors:
            noise[:, start:end] = 2 * torch.rand(batch, self.factors, generator=random) - 1
        return noise

    def draw(self, noise: Tensor, conditions: Tensor, random: torch.Generator) -> Tensor:
        """Generated records [B, V]; the noise says everything."""
        del random
        values: Tensor = self(noise, conditions)
        return values
