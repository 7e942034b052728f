"""Fit the generator to released moments: post-processing."""

from __future__ import annotations

import math

import numpy as np
import torch

from common.events import figure, stage
from common.modalities.gram import GramFeatures
from common.models.moment_loss import MomentLoss
from common.models.neighbour_loss import loss_of
from common.models.tabular import Generator
from common.phases import Measure

from .moments import Moments

_WARM_UP = 0.02
_STEPS_AT_ONE = 1.6  # steps times the noise in a pair's share: with more, the fit follows the noise
_FEWEST_STEPS = 200, 50  # without and with split classes, which have cells of their own and start closer
_LENGTH_AT_ONE, _FASTEST = 1.5e-3, 8.0  # steps times their rate times noise**2; the rate at most
_CALIBRATIONS = 30


def fit(
    generator: Generator,
    moments: Moments,
    features: GramFeatures,
    measure: Measure,
    epsilon: float,
) -> float:
    """Start from the measured shares, descend the moment loss by Adam with a cosine, then calibrate.

    The noisier the moments, the fewer steps: the known noise is the only early stopping, so nothing is spent
    on it. Where it is so faint that ``measure.fit_steps`` are too few, they are longer.
    Returns the last loss, in units of the noise: about 1 is as close as the noise lets one see.
    """
    loss = moment_loss(moments, features)
    _start(generator, moments, features)
    parameters = list(generator.parameters())
    optimiser = torch.optim.Adam(parameters, measure.fit_learning_rate)
    value = torch.zeros(())
    steps, rate_at_most = _descent(measure, moments.noise / features.typical, features.classes > 1)
    for step in range(steps):
        done = step / steps
        rate = min(1.0, (done + 1e-3) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))
        optimiser.param_groups[0]["lr"] = rate_at_most * rate
        optimiser.zero_grad()
        value = loss(generator)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % 50 == 0:
            stage("fit", step, steps, epsilon)
            figure("fit_loss", step, float(value.detach()))
    stage("fit", steps, steps, epsilon)
    calibrate(generator, moments, features)
    return float(value.detach())


def _descent(measure: Measure, noise: float, split: bool) -> tuple[int, float]:
    """Steps, and the largest learning rate. noise: in a pair's share"""
    steps = min(measure.fit_steps, max(_FEWEST_STEPS[split], round(_STEPS_AT_ONE / noise)))
    faster = max(1.0, _LENGTH_AT_ONE / noise**2 / steps)
    return steps, measure.fit_learning_rate * min(_FASTEST, faster)


def moment_loss(moments: Moments, features: GramFeatures) -> MomentLoss:
    """The loss that compares a generator with these moments."""
    return loss_of(features)(
        features,
        moments.singles,
        moments.pairs,
        moments.single_precision,
        moments.pair_precision,
        moments.noise,
        moments.prior,
    )


@torch.no_grad()
def calibrate(generator: Generator, moments: Moments, features: GramFeatures) -> None:
    """Shift output biases until one-way shares are the released ones, by class if one condition splits.

    Each pass multiplies odds by wanted / given, which is iterative proportional fitting of the columns.
    """
    width = features.layout.generated_width
    loss = moment_loss(moments, features)
    by_class = len(features.layout.conditions) == 1 == len(features.split)
    wanted = torch.tensor(moments.singles[:, :width], dtype=torch.float32)
    classes = wanted.sum(1, keepdim=True) / len(features.layout.generated)
    for _ in range(_CALIBRATIONS):
        records, shares = loss.mixture(generator)
        given = (records * shares).sum(1)[:, :width]
        if by_class:
            odds = (wanted / classes.clamp(min=1e-9)).clamp(min=1e-6)
            ratio = odds / (given / classes.clamp(min=1e-9)).clamp(min=1e-7)
            generator.prior.weight.add_(ratio.log().T)
        else:
            ratio = wanted.sum(0).clamp(min=1e-6) / given.sum(0).clamp(min=1e-7)
            generator.output.bias.add_(ratio.log())


@torch.no_grad()
def _start(generator: Generator, moments: Moments, features: GramFeatures) -> None:
    """Outputs at the measured shares, in each class where one condition splits."""
    width = features.layout.generated_width
    shares = moments.singles[:, :width]
    joint = np.maximum(shares.sum(0), 1e-4)
    generator.output.bias.copy_(torch.from_numpy(np.log(joint)))
    if len(features.layout.conditions) == 1 == len(features.split):
        classes = np.maximum(shares.sum(1, keepdims=True) / len(features.layout.generated), 1e-9)
        inside = np.maximum(shares / classes, 1e-4)
        generator.prior.weight.copy_(torch.from_numpy((np.log(inside) - np.log(joint)).T))
