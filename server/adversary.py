"""Schedule ``every-step``: what the coordinator makes of one noisy sum of gradients. Post-processing.

D's gradient has two halves. The real one arrives as a secure sum, clipped and noised; the fake one needs no
record and is added here, so that it costs neither noise nor a site's time, and the sensitivity stays C.
What follows is central DP-SGD on the pooled records (Abadi et al. 2016), however the labels are spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.adam import adam

from common.modalities.layout import Layout
from common.models.fakes import Fakes
from common.models.objective import FittingLoss, fake_loss, generator_loss
from common.models.pair import Pair, load, to_vector
from common.phases import EveryStep

Vector = NDArray[np.float32]

_BETAS = (0.5, 0.9)
_MEMORY = 0.9  # of the running accuracy of D on fakes


@dataclass(frozen=True, slots=True)
class Adversary:
    """Both networks between two steps, with what their optimisers (Adam) remember.

    parameters: generator, then discriminator; first, second: Adam's moments of the same, float32[parameters];
    average: exponential average of the generator, which is what is released; accuracy: running share of fakes
    that D tells; generator_steps: taken so far
    """

    parameters: Vector
    first: Vector
    second: Vector
    average: Vector
    accuracy: float
    generator_steps: int

    @classmethod
    def start(cls, parameters: Vector, average: Vector) -> Self:
        """Before the first step."""
        nothing = np.zeros_like(parameters)
        return cls(parameters, nothing, nothing, average, 1.0, 0)


def step(
    before: Adversary,
    real_sum: NDArray[np.float64],
    records: float,
    number: int,
    pair: Pair,
    layout: Layout,
    prior: NDArray[np.float64],
    anchor: FittingLoss,
    train: EveryStep,
    seed: int,
) -> Adversary:
    """One step of D, and those of G that it allows.

    real_sum: noisy sum of clipped gradients in clipping norms, float64[parameters of D]
    records: the released (noisy) number of units; sample_rate * records is the public divisor
    G is stepped only while D tells fakes often enough (Bie, Kamath, Zhang 2023), which looks at fakes alone.
    """
    pair.load(before.parameters)
    random = torch.Generator().manual_seed(seed * 1_000_003 + number)
    fakes = Fakes(pair.generator, layout, prior, random)
    with torch.no_grad():
        batch = fakes(train.fakes)
    logits = pair.discriminator(batch)
    accuracy = _MEMORY * before.accuracy + (1 - _MEMORY) * float((logits < 0).float().mean())
    pair.discriminator.zero_grad()
    fake_loss(logits).mean().backward()  # type: ignore[no-untyped-call]
    expected = train.sample_rate * max(records, 1.0)
    real = torch.from_numpy(real_sum * (train.max_grad_norm / expected)).float()
    gradient = (real + _flat_gradient(pair.discriminator)) / 2
    generated = len(before.average)
    first, second, parameters = before.first.copy(), before.second.copy(), before.parameters.copy()
    own = slice(generated, None)
    _adam(
        parameters[own], gradient.numpy(), first[own], second[own], number, train.discriminator_learning_rate
    )
    load(pair.discriminator, parameters[own])
    taken = before.generator_steps
    if accuracy >= train.easy:
        pair.discriminator.requires_grad_(False)
        for _ in range(train.generator_steps):
            taken += 1
            pair.generator.zero_grad()
            adversarial = generator_loss(pair.discriminator(fakes(train.generator_batch))).mean()
            loss = adversarial + train.anchor * anchor(pair.generator)
            loss.backward()  # type: ignore[no-untyped-call]
            own = slice(0, generated)
            slope = _flat_gradient(pair.generator).numpy()
            _adam(parameters[own], slope, first[own], second[own], taken, train.generator_learning_rate)
            load(pair.generator, parameters[own])
        pair.discriminator.requires_grad_(True)
    decay = train.average_decay
    average = decay * before.average + (1 - decay) * to_vector(pair.generator)
    return Adversary(parameters, first, second, average.astype(np.float32), accuracy, taken)


def _flat_gradient(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


def _adam(
    parameters: Vector, gradient: Vector, first: Vector, second: Vector, step: int, rate: float
) -> None:
    """One step of Adam (Kingma and Ba 2015, algorithm 1), in place on views of flat vectors."""
    tensor = torch.from_numpy(parameters)
    adam(
        [tensor],
        [torch.from_numpy(np.ascontiguousarray(gradient))],
        [torch.from_numpy(first)],
        [torch.from_numpy(second)],
        [],
        [torch.tensor(float(step - 1))],
        amsgrad=False,
        beta1=_BETAS[0],
        beta2=_BETAS[1],
        lr=rate,
        weight_decay=0.0,
        eps=1e-8,
        maximize=False,
    )
