"""Fit a generator of images or signals to the released sum of features: post-processing."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from common.events import emit
from common.modalities.array_features import ArrayFeatures
from common.models.array_loss import ArrayMomentLoss
from common.models.arrays import ArrayGenerator
from common.phases import ArrayMeasure

_BETAS = (0.5, 0.99)
_WARM_UP = 0.02
_AVERAGE = 0.99  # decay of the average over steps, which is what is kept
_REPORTED = 50  # steps between two events


def fit(
    generator: ArrayGenerator,
    total: NDArray[np.float64],
    features: ArrayFeatures,
    measure: ArrayMeasure,
    epsilon: float,
    seed: int,
) -> float:
    """Descend the loss on the released sum by Adam with a cosine; keep the running average, in place.

    A step whose loss or gradient is not finite is left out; after too many the fit goes back to the average.
    Returns the last loss.
    """
    random = torch.Generator().manual_seed(seed)
    loss = ArrayMomentLoss(features, total, measure.fit_batch, random)
    average = copy.deepcopy(generator)
    optimiser = torch.optim.Adam(generator.parameters(), measure.fit_learning_rate, betas=_BETAS)
    value = torch.zeros(())
    for step in range(measure.fit_steps):
        done = step / measure.fit_steps
        rate = min(1.0, (done + 1e-3) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))
        optimiser.param_groups[0]["lr"] = measure.fit_learning_rate * rate
        optimiser.zero_grad()
        value = loss(generator)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimiser.step()
        _follow(average, generator, min(_AVERAGE, (1 + step) / (10 + step)))
        if step % _REPORTED == 0:
            emit("fit", step, measure.fit_steps, epsilon)
    emit("fit", measure.fit_steps, measure.fit_steps, epsilon)
    generator.load_state_dict(average.state_dict())
    return float(value.detach())


@torch.no_grad()
def _follow(average: nn.Module, current: nn.Module, decay: float) -> None:
    for old, new in zip(average.parameters(), current.parameters(), strict=True):
        old.lerp_(new, 1 - decay)
