"""Where a fit of images or signals begins: at the Gaussian of each class, from released second moments."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.modalities.array_features import ArrayFeatures
from common.models.array_generator import ArrayGenerator
from common.models.film import ImageFilm

_IMITATIONS, _IMITATED, _IMITATION_RATE = 200, 32, 2e-3  # steps, records of each class, learning rate


def start(
    generator: ArrayGenerator, features: ArrayFeatures, total: NDArray[np.float64], random: torch.Generator
) -> None:
    """Set the generator to these Gaussians, or teach it by their samples, in place.

    A symmetric start: from one side, dense layers seldom find a class's other mode.
    """
    means, factors = gaussians(features, total, generator.latent)
    if isinstance(generator, ImageFilm):
        generator.start_at(means, factors)
        return
    inverse = features.low.inverse.float()
    offset = 1.0 if len(features.layout.shape) == 3 else 0.0
    labels = torch.eye(features.classes).repeat_interleave(_IMITATED, dim=0)
    optimiser = torch.optim.Adam(generator.parameters(), _IMITATION_RATE)
    for _ in range(_IMITATIONS):
        noise = generator.points(len(labels), random)
        each = noise.view(features.classes, _IMITATED, -1)[:, :, : factors.shape[2]]
        wanted = (means[:, None] + each @ factors.transpose(1, 2)).flatten(0, 1) @ inverse - offset
        error = ((generator(noise, labels) - wanted.clamp(-0.95, 0.95)) ** 2).mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()


def gaussians(features: ArrayFeatures, total: NDArray[np.float64], rank: int) -> tuple[Tensor, Tensor]:
    """Mean [classes, K] and covariance factor [classes, K, rank] of each class, from its second moments.

    Of u = (w c, constant) / norm the moments hold, up to the norm, E[w c] and E[w c (w c)^T]. Noise makes
    some eigenvalues negative; those below the largest such are taken to be noise as well.
    """
    moments = features.means(total)[0].double()
    constant, last = features.recipe.constant, moments.shape[1] - 1
    share = moments[:, last, last].clamp(min=1e-4)[:, None]
    weighted = moments[:, :last, last] / share * constant
    second = moments[:, :last, :last] / share[:, :, None] * constant**2
    values, vectors = torch.linalg.eigh(second - weighted[:, :, None] * weighted[:, None, :])
    values, vectors = values.flip(1), vectors.flip(2)
    kept = (values - (-values[:, -1:]).clamp(min=0)).clamp(min=0)[:, None, :rank]
    weights = features.low.weights[features.squared]
    count = len(features.low.degree)
    means, factors = torch.zeros(len(moments), count), torch.zeros(len(moments), count, kept.shape[2])
    means[:, features.squared] = (weighted / weights).float()
    factors[:, features.squared] = (vectors[:, :, :rank] * kept.sqrt() / weights[:, None]).float()
    return means, factors
