"""One step of DP-SGD as a secure sum can carry it: gradients, clipped by record."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
from opacus.validators import ModuleValidator
from torch import Tensor

from common.contributions import layout_of
from common.csprng import Csprng
from common.modalities.array_layout import ArrayLayout
from common.modalities.layout import Layout
from common.modalities.views import views_of
from common.models.build import new_family
from common.models.encoding import record_tensor
from common.models.family import Entered
from common.models.pair import count, load
from common.phases import ArrayMeasure, EveryStep
from common.plan import Plan
from common.records import Rows
from common.schema import Schema, TableSchema
from common.states import StepState

from .device import Device, bytes_of_a_row, microbatches

_VIEWED = 1 << 22  # numbers of views that are drawn together; fixed, so that the same ones are drawn anywhere
_SAFE = 1 - 1e-9  # what float64 may understate of a norm, or lose in a sum of a million records


def sum_of_clipped_grads(
    rows: Rows,
    schema: Schema,
    plan: Plan,
    state: bytes,
    train: EveryStep,
    device: Device | None = None,
) -> NDArray[np.float64]:
    """sum over records of clip(gradient of the record's loss) / max_grad_norm: float64[parameters].

    The parameters are those that records enter: D's, or an autoencoder's.
    rows: at most one of each unit; device: a GPU if there is one, unless given

    Guarantees: every summand has norm at most 1, so that a unit moves the sum by at most 1 (L2), whatever
    the state says (Abadi et al. 2016, Algorithm 1, without its noise).
    """
    layout = layout_of(schema)
    start = StepState.from_bytes(state, schema)
    entered = new_family(layout, plan.model, train.objective, plan.seed).entered
    load(entered, start.entered)
    entered.random.manual_seed(int(Csprng().below(2**62, 1)[0]))
    if start.grouping is not None:
        assert isinstance(schema, TableSchema)
        rows = Layout.of(schema).to_model(start.grouping.to_groups(rows, schema))
    records = record_tensor(rows, layout).double()
    if len(records) == 0:  # a Poisson sample may be empty, and of nothing there are no views
        return np.zeros(count(entered))
    entered.double()
    device = device or Device.of()
    if (views := plan.measure.views if isinstance(plan.measure, ArrayMeasure) else None) is None:
        return clipped_sum(entered, records, train.max_grad_norm, device)
    assert isinstance(layout, ArrayLayout)
    total = np.zeros(count(entered))
    for (part,) in microbatches(max(1, _VIEWED // (views.count * records.shape[1])), records):
        seen = views_of(part, views, layout, entered.random)
        total += clipped_sum_of_views(entered, seen, train.max_grad_norm, device)
    return total


def clipped_sum(
    entered: Entered, records: Tensor, max_grad_norm: float, device: Device | None = None
) -> NDArray[np.float64]:
    """The same for records [B, W], by ghost clipping (Li et al. 2022, section 4).

    In float64 throughout: in float32 the rounding of the sum itself would move with a record, by up to 1e-3
    of C in a batch of some ten thousand, and squared norms can underflow.

    Opacus' hooks give each gradient's norm without the gradient; a second backward pass sums
    the gradients with the clipping coefficients as weights. A record whose gradient is not finite is left
    out, and the others keep what was drawn for them: made anew, they would depend on it.
    Networks go to the device at once, records a microbatch at a time.
    """
    device = device or Device.of()
    entered.to(device.place)
    total = torch.zeros(count(entered), dtype=torch.float64)
    ModuleValidator.validate(entered, strict=True)
    draws = entered.draws(records)
    size = device.at_once(bytes_of_a_row(entered, (records, draws), gradients=1))
    wrapped = GradSampleModuleFastGradientClipping(entered, loss_reduction="sum")
    for part, drawn in microbatches(size, records.detach(), draws):
        total += _ghost(wrapped, part.to(device.place), drawn.to(device.place), max_grad_norm).cpu()
    wrapped.remove_hooks()
    return np.asarray(total.numpy())


def _ghost(
    wrapped: GradSampleModuleFastGradientClipping, records: Tensor, draws: Tensor, max_grad_norm: float
) -> Tensor:
    """The clipped sum of as many records as fit into memory: float64[parameters]."""
    parameters = list(wrapped.parameters())
    if len(records) == 0:  # a Poisson sample may be empty
        return records.new_zeros(sum(parameter.numel() for parameter in parameters))
    wrapped.enable_hooks()
    losses = wrapped(records.requires_grad_(), draws)  # the hooks want a gradient
    losses.sum().backward(retain_graph=True)
    norms = wrapped.get_norm_sample().detach()
    wrapped.disable_hooks()
    wrapped.zero_grad()
    if not (sound := norms.isfinite()).all():
        return _ghost(wrapped, records.detach()[sound], draws[sound], max_grad_norm)
    weights = _SAFE / norms.clamp(min=max_grad_norm)
    gradients = torch.autograd.grad((weights * losses).sum(), parameters)
    return torch.cat([gradient.flatten() for gradient in gradients])


def clipped_sum_of_views(
    entered: Entered, records: Tensor, max_grad_norm: float, device: Device | None = None
) -> NDArray[np.float64]:
    """The same where each record has several views, [B, K, W]: their gradients are averaged, then clipped.

    Averaging comes before the bound, so that K views cost what one does (De et al. 2022, section 3.2). Norms
    of averages have no short cut: gradients are made record by record, a few records at a time.
    """
    device = device or Device.of()
    parameters = list(entered.to(device.place).parameters())
    total = torch.zeros(count(entered), dtype=torch.float64)
    ModuleValidator.validate(entered, strict=True)
    views = records.shape[1]
    draws = entered.draws(records.flatten(0, 1))
    each = bytes_of_a_row(entered, (records.flatten(0, 1), draws), gradients=3, rows_each=views)
    wrapped = GradSampleModule(entered, loss_reduction="sum")
    drawn_each = draws.view(*records.shape[:2], draws.shape[1])
    for part, drawn in microbatches(device.at_once(each), records.detach(), drawn_each):
        wrapped.zero_grad()
        seen = part.flatten(0, 1).to(device.place).requires_grad_()
        wrapped(seen, drawn.flatten(0, 1).to(device.place)).sum().backward()
        made: list[Tensor] = [p.grad_sample.flatten(1) for p in parameters]  # type: ignore[attr-defined]
        means = torch.cat(made, dim=1).view(len(part), views, -1).mean(1)
        norms = means.norm(dim=1)
        sound = norms.isfinite()
        total += ((_SAFE / norms[sound].clamp(min=max_grad_norm)) @ means[sound]).cpu()
    wrapped.remove_hooks()
    return np.asarray(total.numpy())
