"""What the networks are trained for: the adversarial losses, and the form of a loss on released moments.

Non-saturating cross-entropy with one-sided label smoothing (Goodfellow et al. 2014, section 3; Salimans et
al. 2016, section 3.4).
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn.functional import softplus

from .tabular import Generator


class FittingLoss(Protocol):
    """What a modality brings to the fit, beside its feature maps: how far a generator is from their sums."""

    def __call__(self, generator: Generator) -> Tensor:
        """A scalar whose gradient reaches the generator; about 1 where only noise is left."""


def real_loss(logits: Tensor, target: float) -> Tensor:
    """Of D for records, one by one: logits [B] to [B]. target: in (0.5, 1], what D is to answer."""
    return target * softplus(-logits) + (1 - target) * softplus(logits)


def fake_loss(logits: Tensor) -> Tensor:
    """Of D for generated records: logits [B] to [B]."""
    return softplus(logits)


def generator_loss(logits: Tensor) -> Tensor:
    """Of G, through D's logits for what it generated: [B] to [B]."""
    return softplus(-logits)
