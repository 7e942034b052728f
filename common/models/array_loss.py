"""How far generated images or signals are from released feature means: unbiased, differentiable."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..modalities.array_features import ArrayFeatures
from .objective import AnyGenerator

ANCHOR_BATCH = 16
"""Generated records of each class beside the released features, in the adversarial phase."""

_ANGLES = 1 << 18  # cosines of each kind in a step: what bounds its time; frequencies are drawn anew
_LEAST = 200  # frequencies


class ArrayMomentLoss:
    """Squared distance of feature means, summed over classes: the squared MMD of phi's kernel.

    ||mean over b generated records||**2 counts each record with itself, which would reward low diversity;
    these b terms are left out (Gretton et al. 2012, lemma 6), and so is what no generator changes.

    total: released sum, float64[count]; batch: generated records of each class
    ceiling: degree up to which coefficients count, for a curriculum; none unless set
    """

    ceiling: float | None = None
    _labels: Tensor

    def __init__(
        self, features: ArrayFeatures, total: NDArray[np.float64], batch: int, random: torch.Generator
    ) -> None:
        self._features, self._random = features, random
        self._gram, *self._waves = features.means(total)
        self.resize(batch)

    def _to(self, device: torch.device) -> None:
        """Targets to where generated records are."""
        if self._gram.device != device:
            self._gram, self._labels = self._gram.to(device), self._labels.to(device)
            self._waves = [wave.to(device) for wave in self._waves]

    def resize(self, batch: int) -> None:
        """Generate another number of records of each class from now on."""
        self._batch = batch
        labels = torch.eye(self._features.classes).repeat_interleave(batch, dim=0)
        self._labels = labels.to(self._gram.device)

    def __call__(self, generator: AnyGenerator) -> Tensor:
        """The loss: a scalar."""
        device = next(generator.parameters()).device
        self._to(device)
        noise = generator.points(len(self._labels), self._random).to(device)
        return self.of(generator.draw(noise, self._labels, self._random))

    def of(self, values: Tensor) -> Tensor:
        """The loss of generated records [classes * batch, values], class by class."""
        features = self._features
        c = features.coefficients_of(values)
        second, *weights = features.weights
        loss = second**2 * self._second(features.unit(c))
        if self.ceiling is not None:
            return loss
        sizes = [wave.shape[2] for wave in self._waves]
        most = max(_LEAST, _ANGLES // len(values))
        chosen = tuple(torch.randperm(size, generator=self._random)[:most] for size in sizes)
        for weight, phases, places, target in zip(
            weights, features.phases(values, c, (chosen[0], chosen[1])), chosen, self._waves, strict=True
        ):
            if len(places):
                loss = loss + weight**2 * self._distance(phases, target[:, :, places])
        return loss

    def _second(self, u: Tensor) -> Tensor:
        """Distance of second moments, up to the curriculum's ceiling."""
        batch = self._batch
        u = u.view(self._features.classes, batch, -1)
        if self.ceiling is None:
            gram = u.transpose(1, 2) @ u / batch
            return ((gram**2).sum() - len(u) / batch) * batch / (batch - 1) - 2 * (gram * self._gram).sum()
        degree = self._features.low.degree[self._features.squared]
        kept = torch.cat([(degree < self.ceiling).nonzero().squeeze(1), torch.tensor([len(degree)])])
        gram = u[:, :, kept].transpose(1, 2) @ u[:, :, kept] / batch
        return ((gram - self._gram[:, kept][:, :, kept]) ** 2).sum()

    def _distance(self, phases: Tensor, target: Tensor) -> Tensor:
        """Distance of waves: phases [classes * batch, F], target [classes, 2, F]."""
        batch, count = self._batch, phases.shape[1]
        waves = torch.stack([phases.cos(), phases.sin()], dim=1).view(len(target), batch, 2, count).mean(1)
        square = ((waves**2).sum() / count - len(target) / batch) * batch / (batch - 1)
        return square - 2 * (waves * target).sum() / count
