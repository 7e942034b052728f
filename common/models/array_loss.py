"""How far generated images or signals are from released feature means: unbiased, differentiable."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..modalities.array_features import ArrayFeatures
from .objective import AnyGenerator

_FREQUENCIES = 400  # of the random features, drawn anew for every step


class ArrayMomentLoss:
    """Squared distance of feature means, summed over classes: the squared MMD of phi's kernel.

    ||mean over b generated records||**2 counts each record with itself, which would reward low diversity;
    these b terms are left out (Gretton et al. 2012, lemma 6).

    total: released sum, float64[count]; batch: generated records of each class
    """

    def __init__(
        self, features: ArrayFeatures, total: NDArray[np.float64], batch: int, random: torch.Generator
    ) -> None:
        self._features, self._batch, self._random = features, batch, random
        counts = np.maximum(features.counts(total), 1.0)
        means = torch.from_numpy(total.reshape(features.classes, -1) / counts[:, None]).float()
        g, r = features.weights
        pairs = len(features.upper[0])
        self._gram = _symmetric(means[:, 1 : 1 + pairs] / g, features)
        self._waves = means[:, 1 + pairs :].view(features.classes, 2, -1) / max(r, 1e-9)
        self._waves = self._waves * math.sqrt(max(1, features.features))
        self._labels = torch.eye(features.classes).repeat_interleave(batch, dim=0)

    def __call__(self, generator: AnyGenerator) -> Tensor:
        """The loss: a scalar."""
        noise = generator.points(len(self._labels), self._random)
        return self.of(generator.draw(noise, self._labels, self._random))

    def of(self, values: Tensor) -> Tensor:
        """The loss of generated records [classes * batch, values], class by class."""
        classes, batch = self._features.classes, self._batch
        u, c = self._features.unit_and_coefficients(values)
        g, r = self._features.weights
        u = u.view(classes, batch, -1)
        gram = u.transpose(1, 2) @ u / batch
        own = batch / (batch - 1)
        square = own * ((gram**2).sum((1, 2)) - 1 / batch)  # ||u u^T|| = 1
        loss = g**2 * (square - 2 * (gram * self._gram).sum((1, 2)))
        if r:
            chosen = torch.randperm(self._features.features, generator=self._random)[:_FREQUENCIES]
            phases = c @ self._features.frequencies.to(values)[:, chosen]
            waves = torch.stack([phases.cos(), phases.sin()], dim=1).view(classes, batch, 2, -1).mean(1)
            square = own * ((waves**2).sum((1, 2)) / len(chosen) - 1 / batch)
            cross = (waves * self._waves[:, :, chosen]).sum((1, 2)) / len(chosen)
            loss = loss + r**2 * (square - 2 * cross)
        return loss.sum()


def _symmetric(triangles: Tensor, features: ArrayFeatures) -> Tensor:
    """Inverse of ``ArrayFeatures.triangle``: [classes, width, width]."""
    rows, columns = features.upper
    half = triangles * torch.where(rows == columns, 0.5, math.sqrt(0.5))
    square = torch.zeros(features.classes, features.width, features.width)
    square[:, rows, columns] = half
    return square + square.transpose(1, 2)
