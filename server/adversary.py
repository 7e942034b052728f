"""Schedule ``every-step``: what the coordinator makes of one noisy sum of gradients. Post-processing.

A gradient has two halves. The real one arrives as a secure sum, clipped and noised; the fake one needs no
record and is added here, so that it costs neither noise nor a site's time, and the sensitivity stays C.
What follows is central DP-SGD on the pooled records (Abadi et al. 2016), however the labels are spread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.adam import adam

from common.models.encoding import AnyLayout
from common.models.fakes import Fakes
from common.models.family import Family
from common.models.pair import load, to_vector
from common.phases import EveryStep

if TYPE_CHECKING:  # it knows checkpoints, which hold an Adversary
    from .measured import Measured

Vector = NDArray[np.float32]

_BETAS = (0.5, 0.9)
_MEMORY = 0.9  # of the running accuracy of D on fakes


@dataclass(frozen=True, slots=True)
class Adversary:
    """Both networks between two steps, with what their optimisers (Adam) remember.

    parameters: the free ones, then those that records enter; first, second: Adam's moments of the same,
    float32[parameters]; average: exponential average of the generator, which is what is released;
    accuracy: running share of fakes that D tells; generator_steps: taken so far
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
    number: int,
    family: Family,
    layout: AnyLayout,
    measured: Measured,
    train: EveryStep,
    seed: int,
) -> Adversary:
    """One step of the parameters that records enter, and those of the free ones that it allows.

    real_sum: noisy sum of clipped gradients in clipping norms, float64[parameters that records enter]
    measured: the released prior and number of units; sample_rate * units is the public divisor
    G is stepped only while D tells fakes often enough (Bie, Kamath, Zhang 2023), which looks at fakes alone.
    A step whose outcome is not finite is not taken: the networks stay at the last good one.
    """
    family.load(before.parameters)
    random = torch.Generator().manual_seed(seed * 1_000_003 + number)
    fakes = Fakes(family.generator, layout, measured.prior, random)
    family.entered.zero_grad()
    public, told = family.public_loss(fakes, train.fakes, train.max_grad_norm)
    if not family.alternates:  # then records enter the generator, too
        public = public + train.anchor * measured.anchor(family.generator)
    public.backward()  # type: ignore[no-untyped-call]
    accuracy = _MEMORY * before.accuracy + (1 - _MEMORY) * told
    expected = train.sample_rate * max(measured.total, 1.0)
    real = torch.from_numpy(real_sum * (train.max_grad_norm / expected)).float()
    gradient = (real + _flat_gradient(family.entered)) / 2
    first, second, parameters = before.first.copy(), before.second.copy(), before.parameters.copy()
    own = slice(family.free_count, None)
    _adam(
        parameters[own], gradient.numpy(), first[own], second[own], number, train.discriminator_learning_rate
    )
    load(family.entered, parameters[own])
    family.entered.bound()
    parameters[own] = to_vector(family.entered)
    taken = before.generator_steps
    if family.alternates and accuracy >= train.easy:
        family.entered.requires_grad_(False)
        own = slice(0, family.free_count)
        for _ in range(train.generator_steps):
            taken += 1
            family.free.zero_grad()
            loss = family.free_loss(fakes, train.generator_batch)
            loss = loss + train.anchor * measured.anchor(family.generator)
            loss.backward()  # type: ignore[no-untyped-call]
            slope = _flat_gradient(family.free).numpy()
            _adam(parameters[own], slope, first[own], second[own], taken, train.generator_learning_rate)
            load(family.free, parameters[own])
        family.entered.requires_grad_(True)
    if not all(np.isfinite(v).all() for v in (parameters, first, second)):
        return replace(before, accuracy=accuracy if np.isfinite(accuracy) else before.accuracy)
    decay = train.average_decay
    average = decay * before.average + (1 - decay) * to_vector(family.generator)
    return Adversary(parameters, first, second, average.astype(np.float32), accuracy, taken)


def _flat_gradient(module: torch.nn.Module) -> torch.Tensor:
    """All gradients, flat; zero where a loss does not reach."""
    return torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in module.parameters()]
    )


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
