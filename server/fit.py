"""Fit the generator to released moments: post-processing."""

from __future__ import annotations

import math

import numpy as np
import torch

from common.events import emit
from common.modalities.layout import Layout
from common.models.moment_loss import MomentLoss
from common.models.tabular import Generator
from common.plan import Measure

from .moments import Moments, spectral_start

_WARM_UP = 0.02
_AVERAGE = 0.01  # of each step in the exponential average of the weights
_SPECTRAL_RANK = 16


def fit(
    generator: Generator,
    moments: Moments,
    layout: Layout,
    measure: Measure,
    seed: int,
    epsilon: float,
) -> None:
    """Start from the measured correlations, then descend the moment loss by Adam with a cosine.

    The weights left in ``generator`` are an exponential average over the last steps.
    """
    _start(generator, moments, layout)
    loss = moment_loss(moments, layout)
    random = torch.Generator().manual_seed(seed)
    parameters = list(generator.parameters())
    optimiser = torch.optim.Adam(parameters, measure.fit_learning_rate)
    average = [parameter.detach().clone() for parameter in parameters]
    for step in range(measure.fit_steps):
        done = step / measure.fit_steps
        rate = min(1.0, (done + 1e-3) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))
        optimiser.param_groups[0]["lr"] = measure.fit_learning_rate * rate
        optimiser.zero_grad()
        loss(generator, measure.fit_batch, random).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        torch._foreach_lerp_(average, [p.detach() for p in parameters], _AVERAGE)
        if step % 50 == 0:
            emit("fit", step, measure.fit_steps, epsilon)
    emit("fit", measure.fit_steps, measure.fit_steps, epsilon)
    with torch.no_grad():
        for parameter, value in zip(parameters, average, strict=True):
            parameter.copy_(value)


def moment_loss(moments: Moments, layout: Layout) -> MomentLoss:
    """The loss that compares a generator with these moments."""
    return MomentLoss(layout, moments.singles, moments.pairs, moments.prior, moments.single_trust)


def _start(generator: Generator, moments: Moments, layout: Layout) -> None:
    """Output at the measured shares, linear path at the measured correlations."""
    shares = np.maximum(moments.singles[: layout.generated_width], 2e-4)
    rank = min(_SPECTRAL_RANK, generator.latent)
    weights = spectral_start(moments, layout, rank)
    with torch.no_grad():
        generator.output.bias.copy_(torch.from_numpy(np.log(shares)))
        generator.linear.weight[:, : weights.shape[1]] = torch.from_numpy(weights.copy()).float()
