"""What a plan's adversarial phase trains, whichever family it names: one interface, one secure sum.

Every family has two sets of parameters. Records *enter* one of them: ``entered`` gives each record a loss,
whose gradient is clipped, summed and noised. No record reaches the *free* ones but through what noisy steps
made of the others: their training is post-processing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from ..phases import Objective
from .arrays import ArrayDiscriminator
from .fakes import Fakes
from .objective import AnyGenerator, fake_loss, generator_loss, real_loss
from .pair import Vector, check_length, count, load, to_vector
from .tabular import Discriminator

_AT_ONCE = 32  # gradients of fakes in memory


class Entered(nn.Module):
    """The networks that records enter: records [B, W] to one loss each [B].

    Nothing in it mixes the rows of a batch, so that a record's gradient is a function of this record and of
    its row of ``draws``. These are independent of everything else, so that a record moves a sum by at most
    one clipped gradient whatever they are: given the draws of the others, which it does not touch.
    """

    random: torch.Generator
    """Of what a loss draws (label flips, reparameterisation); nothing here is privacy's noise."""

    def draws(self, records: Tensor) -> Tensor:
        """What the losses of these records need of chance, one row each: [B, numbers]."""
        raise NotImplementedError

    def forward(self, records: Tensor, draws: Tensor | None = None) -> Tensor:
        """Losses [B]. draws: as ``draws`` makes them, or made anew."""
        raise NotImplementedError

    def bound(self) -> None:
        """What is done to the parameters after each step; nothing, for most."""


@dataclass(frozen=True, slots=True)
class Family:
    """Networks of a plan: generator, those that records enter, and those that none does."""

    generator: AnyGenerator
    entered: Entered
    free: nn.Module

    def public_loss(self, fakes: Fakes, count: int, max_grad_norm: float) -> tuple[Tensor, float]:
        """The rest of the loss of ``entered``, which needs no record; and the share of fakes it tells.

        count: how many to generate; max_grad_norm: to which a record's gradient is clipped
        """
        raise NotImplementedError

    def free_loss(self, fakes: Fakes, count: int) -> Tensor:
        """The loss of the free parameters through the fixed others."""
        raise NotImplementedError

    @property
    def free_count(self) -> int:
        """Number of free parameters."""
        return count(self.free)

    @property
    def alternates(self) -> bool:
        """Whether the free parameters have steps of their own."""
        return self.free_count > 0

    def to_vector(self) -> Vector:
        """Free parameters, then those that records enter: float32."""
        return np.concatenate([to_vector(self.free), to_vector(self.entered)])

    def load(self, vector: Vector) -> None:
        """Set all parameters. Raises MalformedMessageError on another length."""
        check_length(vector, self.free_count + count(self.entered))
        load(self.free, vector[: self.free_count])
        load(self.entered, vector[self.free_count :])


class Judged(Entered):
    """A discriminator with its loss on records."""

    def __init__(self, discriminator: Discriminator | ArrayDiscriminator, objective: Objective) -> None:
        super().__init__()
        self.discriminator = discriminator
        self._objective = objective
        self.random = torch.Generator()

    def draws(self, records: Tensor) -> Tensor:
        """1 for a record that is shown as a fake: [B, 1]; nothing where none is."""
        if self._objective.flips == 0.0:
            return records.new_empty(len(records), 0)
        return self.flipped(len(records))[:, None].to(records)

    def forward(self, records: Tensor, draws: Tensor | None = None) -> Tensor:
        """D's loss for each record; with chance ``flips`` the one it would have for a fake."""
        drawn = self.draws(records) if draws is None else draws
        logits = self.discriminator(records)
        losses = real_loss(logits, self._objective)
        if self._objective.flips == 0.0:
            return losses
        return torch.where(drawn[:, 0] > 0, fake_loss(logits, self._objective), losses)

    def flipped(self, count: int) -> Tensor:
        """Which records are shown as fakes: bool [count], independent draws."""
        return torch.rand(count, generator=self.random) < self._objective.flips

    def bound(self) -> None:
        """Clip weights, for ``wasserstein``."""
        if self._objective.family == "wasserstein":
            with torch.no_grad():
                for parameter in self.parameters():
                    parameter.clamp_(-self._objective.weight_limit, self._objective.weight_limit)


@dataclass(frozen=True, slots=True)
class Adversarial(Family):
    """A generator against a discriminator: ``bce``, ``hinge``, ``wasserstein``.

    That of ``wasserstein`` is a difference of means, and would drift to one side if records' gradients
    alone were clipped: there those of fakes are too, for balance and not for privacy. Other losses level off
    by themselves.
    """

    entered: Judged
    objective: Objective

    def public_loss(self, fakes: Fakes, count: int, max_grad_norm: float) -> tuple[Tensor, float]:
        """D's loss on fakes, and how many of them it tells."""
        with torch.no_grad():
            batch = fakes(count)
        losses = fake_loss(logits := self.entered.discriminator(batch), self.objective)
        if self.objective.family == "wasserstein":  # whose sign says nothing
            norms = gradient_norms(self.entered.discriminator, batch)
            return (losses * max_grad_norm / norms.clamp(min=max_grad_norm)).mean(), 1.0
        return losses.mean(), float((logits < 0).float().mean())

    def free_loss(self, fakes: Fakes, count: int) -> Tensor:
        """G's loss."""
        return generator_loss(self.entered.discriminator(fakes(count)), self.objective).mean()


def gradient_norms(discriminator: nn.Module, records: Tensor) -> Tensor:
    """Norm of the gradient of each record's logit by the parameters: [B], without a graph."""
    weights = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}

    def logit(weights: dict[str, Tensor], record: Tensor) -> Tensor:
        found: Tensor = functional_call(discriminator, weights, (record[None],)).squeeze(0)
        return found

    def norm(record: Tensor) -> Tensor:
        slopes: dict[str, Tensor] = grad(logit)(weights, record)
        length: Tensor = torch.cat([slope.flatten() for slope in slopes.values()]).norm()
        return length

    norms: Tensor = vmap(norm, chunk_size=_AT_ONCE)(records)
    return norms
