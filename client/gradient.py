"""One step of DP-SGD as a secure sum can carry it: the real half of D's gradient, clipped by record."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.validators import ModuleValidator
from torch import Tensor

from common.modalities.layout import Layout
from common.modalities.tabular import Codes
from common.models.objective import real_loss
from common.models.pair import Pair, load
from common.models.tabular import Discriminator, one_hot
from common.phases import EveryStep
from common.plan import Plan
from common.schema import Schema
from common.states import StepState

_SAFE = 1 - 1e-9  # what float64 may understate of a norm, or lose in a sum of a million records


def sum_of_clipped_grads(
    codes: Codes, schema: Schema, plan: Plan, state: bytes, train: EveryStep
) -> NDArray[np.float64]:
    """sum over records of clip(gradient of D's loss on the record) / max_grad_norm: float64[parameters of D].

    codes: int64[sampled, columns], at most one row of each unit

    Guarantees: every summand has norm at most 1, so that a unit moves the sum by at most 1 (L2), whatever
    the state says (Abadi et al. 2016, Algorithm 1, without its noise).
    """
    layout = Layout.of(schema)
    start = StepState.from_bytes(state, schema)
    discriminator = Pair.new(layout, plan.model, plan.seed).discriminator
    load(discriminator, start.discriminator)
    grouped = layout.to_model(start.grouping.to_groups(codes, schema))
    return clipped_sum(discriminator.double(), one_hot(grouped, layout).double(), train)


def clipped_sum(discriminator: Discriminator, records: Tensor, train: EveryStep) -> NDArray[np.float64]:
    """The same for one-hot records [B, F + C], by ghost clipping (Li et al. 2022, section 4).

    In float64 throughout: in float32 the rounding of the sum itself would move with a record, by up to 1e-3
    of C in a batch of some ten thousand, and squared norms can underflow.

    Opacus' hooks give each gradient's norm without the gradient; a second backward pass sums
    the gradients with the clipping coefficients as weights. A record whose gradient is not finite is left
    out.
    """
    count = sum(parameter.numel() for parameter in discriminator.parameters())
    if len(records) == 0:  # a Poisson sample may be empty
        return np.zeros(count)
    ModuleValidator.validate(discriminator, strict=True)
    wrapped = GradSampleModuleFastGradientClipping(discriminator, loss_reduction="sum")
    losses = real_loss(wrapped(records.requires_grad_()), train.real_target)  # the hooks want a gradient
    losses.sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
    norms = wrapped.get_norm_sample().detach()
    wrapped.disable_hooks()
    wrapped.remove_hooks()
    if not (sound := norms.isfinite()).all():
        return clipped_sum(discriminator, records.detach()[sound], train)
    weights = _SAFE / norms.clamp(min=train.max_grad_norm)
    gradients = torch.autograd.grad((weights * losses).sum(), list(discriminator.parameters()))
    return np.asarray(torch.cat([g.flatten() for g in gradients]).numpy(), np.float64)
