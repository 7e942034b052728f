"""Fit a generator of images or signals to the released sum of features: post-processing."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.events import emit
from common.modalities.array_features import ArrayFeatures
from common.models.array_generator import ArrayGenerator
from common.models.array_loss import ArrayMomentLoss
from common.models.film import ImageFilm
from common.phases import ArrayMeasure

_BETAS = (0.5, 0.99)
_WARM_UP = 0.02
_AVERAGE = 0.99  # decay of the average over steps, which is what is kept
_TAIL = 0.1  # of the steps, at the end, that see many more generated records: less noise, the same bias
_TAIL_BATCH, _TAIL_RATE, _TAIL_AVERAGE = 5, 0.6, 0.97  # times the batch and rate of the others; decay
_IMITATIONS, _IMITATED, _IMITATION_RATE = 200, 32, 2e-3  # steps, records of each class, learning rate
_REPORTED = 50  # steps between two events, and between two copies to go back to
_MOST_RETURNS = 5  # to the last good copy; each halves the learning rate


def fit(
    generator: ArrayGenerator,
    total: NDArray[np.float64],
    features: ArrayFeatures,
    measure: ArrayMeasure,
    epsilon: float,
    seed: int,
) -> float:
    """Descend the loss on the released sum by Adam with a cosine; keep the running average, in place.

    Where a loss or a gradient is not finite, the fit goes back to the last good copy with half the learning
    rate. Returns the last loss.
    """
    with _all_cores():
        return _fit(generator, total, features, measure, epsilon, seed)


@contextmanager
def _all_cores() -> Iterator[None]:
    """Batches here are large enough for threads, unlike anything else in a simulation."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit(
    generator: ArrayGenerator,
    total: NDArray[np.float64],
    features: ArrayFeatures,
    measure: ArrayMeasure,
    epsilon: float,
    seed: int,
) -> float:
    random = torch.Generator().manual_seed(seed)
    loss = ArrayMomentLoss(features, total, measure.fit_batch, random)
    start(generator, features, total, random)
    value, done = math.nan, 0
    for stage in _stages(measure):
        loss.resize(stage.batch)

        def before(step: int, start: int = done) -> None:
            at = start + step
            loss.ceiling = _ceiling(features, measure, at / measure.fit_steps)
            if at % _REPORTED == 0:
                emit("fit", at, measure.fit_steps, epsilon)

        value = _descend(generator, loss, stage, before)
        done += stage.steps
    emit("fit", measure.fit_steps, measure.fit_steps, epsilon)
    return value


@dataclass(frozen=True, slots=True)
class _Stage:
    """Steps with one batch of each class, a learning rate, and the decay of the average over steps."""

    steps: int
    batch: int
    rate: float
    average: float


def _stages(measure: ArrayMeasure) -> list[_Stage]:
    tail = round(_TAIL * measure.fit_steps)
    first = _Stage(measure.fit_steps - tail, measure.fit_batch, measure.fit_learning_rate, _AVERAGE)
    rate = _TAIL_RATE * measure.fit_learning_rate
    return [first, _Stage(tail, _TAIL_BATCH * measure.fit_batch, rate, _TAIL_AVERAGE)]


def _descend(
    generator: ArrayGenerator, loss: ArrayMomentLoss, stage: _Stage, before: Callable[[int], None]
) -> float:
    """One stage, in place; what is kept is the average. ``before`` hears of steps. Returns the last loss."""
    kept, rate, value = _Kept.of(generator), stage.rate, math.nan
    optimiser = torch.optim.Adam(generator.parameters(), rate, betas=_BETAS)
    step = returns = 0
    while step < stage.steps:
        before(step)
        optimiser.param_groups[0]["lr"] = rate * _cosine(step / stage.steps)
        value = _step(generator, loss, optimiser)
        step += 1
        if not math.isfinite(value) and returns < _MOST_RETURNS:
            returns, rate, step = returns + 1, rate / 2, kept.restore(generator)
            optimiser = torch.optim.Adam(generator.parameters(), rate, betas=_BETAS)
            continue
        kept.follow(generator, min(stage.average, (1 + step) / (10 + step)))
        if step % _REPORTED == 0:
            kept.keep(generator, step)
    generator.load_state_dict(kept.average.state_dict())
    return value


def _step(generator: ArrayGenerator, loss: ArrayMomentLoss, optimiser: torch.optim.Optimizer) -> float:
    """One step; the loss, or NaN if it or a gradient is not finite, and then nothing is moved."""
    optimiser.zero_grad()
    value = loss(generator)
    value.backward()  # type: ignore[no-untyped-call]
    length = nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
    if not bool(torch.isfinite(length)) or not bool(torch.isfinite(value)):
        return math.nan
    optimiser.step()
    return float(value.detach())


def _cosine(done: float) -> float:
    """Share of the learning rate after a share of the steps."""
    return min(1.0, (done + 1e-3) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))


def _ceiling(features: ArrayFeatures, measure: ArrayMeasure, done: float) -> float | None:
    """The degree up to which coefficients count now; none once the curriculum is over."""
    if done >= measure.curriculum:
        return None
    highest = float(features.low.degree.max()) + 1
    return 2 + (highest - 2) * done / measure.curriculum


@dataclass(slots=True)
class _Kept:
    """The running average, and a copy of generator and average to go back to."""

    average: ArrayGenerator
    good: tuple[dict[str, Tensor], dict[str, Tensor]]
    step: int

    @classmethod
    def of(cls, generator: ArrayGenerator) -> _Kept:
        average = copy.deepcopy(generator)
        return cls(average, (_copy(generator), _copy(average)), 0)

    @torch.no_grad()
    def follow(self, generator: ArrayGenerator, decay: float) -> None:
        for old, new in zip(self.average.parameters(), generator.parameters(), strict=True):
            old.lerp_(new, 1 - decay)

    def keep(self, generator: ArrayGenerator, step: int) -> None:
        self.good, self.step = (_copy(generator), _copy(self.average)), step

    def restore(self, generator: ArrayGenerator) -> int:
        generator.load_state_dict(self.good[0])
        self.average.load_state_dict(self.good[1])
        return self.step


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def start(
    generator: ArrayGenerator, features: ArrayFeatures, total: NDArray[np.float64], random: torch.Generator
) -> None:
    """Begin at the Gaussian of each class, which second moments give: outright, or by imitating its samples.

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
