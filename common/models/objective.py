"""Losses of the adversarial pair, record by record, and the form of a loss on released moments.

bce: non-saturating cross-entropy (Goodfellow et al. 2014, section 3) with one-sided label smoothing (Salimans
et al. 2016, section 3.4). hinge: Lim and Ye 2017. wasserstein: Arjovsky et al. 2017, algorithm 1, whose
clipping of D's weights is ``Family.bound``.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus

from ..phases import Objective
from .array_generator import ArrayGenerator
from .tabular import Generator

AnyGenerator = Generator | ArrayGenerator


class FittingLoss(Protocol):
    """What a modality brings to the fit, beside its feature maps: how far a generator is from their sums."""

    def __call__(self, generator: AnyGenerator) -> Tensor:
        """A scalar whose gradient reaches the generator; about 1 where only noise is left."""


def real_loss(logits: Tensor, objective: Objective) -> Tensor:
    """Of D for records, one by one: logits [B] to [B]."""
    if objective.family == "hinge":
        return relu(1 - logits)
    if objective.family == "wasserstein":
        return -logits
    target = objective.real_target
    return target * softplus(-logits) + (1 - target) * softplus(logits)


def fake_loss(logits: Tensor, objective: Objective) -> Tensor:
    """Of D for generated records: logits [B] to [B]."""
    if objective.family == "hinge":
        return relu(1 + logits)
    if objective.family == "wasserstein":
        return logits
    return softplus(logits)


def generator_loss(logits: Tensor, objective: Objective) -> Tensor:
    """Of G, through D's logits for what it generated: [B] to [B]."""
    return -logits if objective.family in ("hinge", "wasserstein") else softplus(-logits)
