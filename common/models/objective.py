"""The adversarial objective: non-saturating cross-entropy with one-sided label smoothing.

Goodfellow et al. 2014, section 3; Salimans et al. 2016, section 3.4.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def real_loss(logits: Tensor, target: float) -> Tensor:
    """Of D for records, one by one: logits [B] to [B]. target: in (0.5, 1], what D is to answer."""
    return target * softplus(-logits) + (1 - target) * softplus(logits)


def fake_loss(logits: Tensor) -> Tensor:
    """Of D for generated records: logits [B] to [B]."""
    return softplus(logits)


def generator_loss(logits: Tensor) -> Tensor:
    """Of G, through D's logits for what it generated: [B] to [B]."""
    return softplus(-logits)
