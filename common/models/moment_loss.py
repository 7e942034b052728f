"""How far a generator's one-way and two-way moments are from released ones: unbiased, differentiable."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..modalities.layout import Layout
from .tabular import Generator

Array = NDArray[np.float64]


class MomentLoss:
    """sum (E[v v'] - pairs)**2 over blocks of two columns, plus trust * sum (E[v] - singles)**2.

    v is a record's column probabilities with its one-hot conditions. The expectation is estimated on two
    independent halves of a batch and their residuals are multiplied, so that a small batch does not
    bias the fit towards too little variety. Conditions are stratified: each combination gets a share of
    the batch proportional to the root of its prior, and is weighted back.
    """

    def __init__(
        self, layout: Layout, singles: Array, pairs: Array, prior: Array, single_trust: float
    ) -> None:
        owner = np.repeat(np.arange(len(layout.sizes)), layout.sizes)
        between = owner[:, None] != owner[None, :]
        self._between = torch.tensor(between, dtype=torch.float32)
        self._pairs = torch.tensor(pairs, dtype=torch.float32)
        self._singles = torch.tensor(singles, dtype=torch.float32)
        self._trust = single_trust
        self._prior = prior
        self._grid = condition_one_hot(layout, layout.condition_grid())

    def __call__(self, generator: Generator, batch: int, random: torch.Generator) -> Tensor:
        """The loss on a fresh batch of about ``batch`` records in each half: a scalar."""
        share = np.sqrt(np.maximum(self._prior, 1e-6))
        counts = np.maximum(np.round(share / share.sum() * batch), 2).astype(np.int64)
        conditions = self._grid.repeat_interleave(torch.tensor(counts), dim=0)
        weights = torch.tensor(np.repeat(self._prior / counts, counts), dtype=torch.float32)
        first = self._residuals(generator, conditions, weights, random)
        second = self._residuals(generator, conditions, weights, random)
        pairs = (first[0] * second[0] * self._between).sum() / 2
        return pairs + self._trust * (first[1] * second[1]).sum()

    def _residuals(
        self, generator: Generator, conditions: Tensor, weights: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        noise = torch.randn((len(conditions), generator.latent), generator=random)
        soft = generator.columns.probabilities(generator(noise, conditions))
        records = torch.cat([soft, conditions], dim=1)
        weighted = records * weights[:, None]
        return records.T @ weighted - self._pairs, weighted.sum(0) - self._singles


def condition_one_hot(layout: Layout, codes: NDArray[np.int64]) -> Tensor:
    """Condition codes ``int64[B, conditions]`` as float32[B, C]."""
    offsets = np.concatenate([[0], np.cumsum(layout.conditions)])[:-1]
    one_hot = np.zeros((len(codes), layout.condition_width), np.float32)
    np.put_along_axis(one_hot, codes + offsets, 1.0, axis=1)
    return torch.from_numpy(one_hot)
