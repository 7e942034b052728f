"""One step of DP-SGD as a secure sum can carry it: gradients, clipped by record."""

from __future__ import annotations

import threading

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.contributions import layout_of
from common.csprng import Csprng
from common.modalities.array_layout import ArrayLayout
from common.modalities.layout import Layout
from common.modalities.views import views_of
from common.models.build import new_family
from common.models.encoding import AnyLayout, record_tensor
from common.models.family import Entered
from common.models.pair import count, load
from common.phases import ArrayMeasure, EveryStep
from common.plan import Plan
from common.records import Rows
from common.schema import Schema, TableSchema
from common.states import StepState

from .bookkeeping import BookKeeping
from .device import Device, bytes_of_a_row, microbatches

_VIEWED = 1 << 22  # numbers of views that are drawn together; fixed, so that the same ones are drawn anywhere
_KEPT = threading.local()  # networks of the last step: those of the next are the same, with other weights


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
    clipping = _ready(layout, plan, train, device or Device.of())
    entered = clipping.entered
    load(entered.float().cpu(), start.entered)
    entered.double()
    entered.random.manual_seed(int(Csprng().below(2**62, 1)[0]))
    if start.grouping is not None:
        assert isinstance(schema, TableSchema)
        rows = Layout.of(schema).to_model(start.grouping.to_groups(rows, schema))
    records = record_tensor(rows, layout).double()
    if len(records) == 0:  # a Poisson sample may be empty, and of nothing there are no views
        return np.zeros(count(entered))
    if (views := plan.measure.views if isinstance(plan.measure, ArrayMeasure) else None) is None:
        return clipping.sum(records, train.max_grad_norm)
    assert isinstance(layout, ArrayLayout)
    total = np.zeros(count(entered))
    for (part,) in microbatches(max(1, _VIEWED // (views.count * records.shape[1])), records):
        seen = views_of(part, views, layout, entered.random)
        total += clipping.sum(seen, train.max_grad_norm)
    return total


def clipped_sum(
    entered: Entered, records: Tensor, max_grad_norm: float, device: Device | None = None
) -> NDArray[np.float64]:
    """The same for records [B, W], or [B, K, W] with several views each, in float64.

    Gradients of a record's views are averaged, and then clipped: the bound is one record's, so that K views
    cost what one does (De et al. 2022, section 3.2).
    """
    clipping = Clipping(entered, device or Device.of())
    try:
        return clipping.sum(records, max_grad_norm)
    finally:
        clipping.close()


class Clipping:
    """Networks that records enter, ready for one step after another.

    In float64 throughout: in float32 the rounding of the sum itself would move with a record, by up to 1e-3
    of C in a batch of some ten thousand, squared norms can underflow, and see ``BookKeeping``.
    """

    def __init__(self, entered: Entered, device: Device) -> None:
        self.entered, self._device = entered, device
        self._each: dict[torch.Size, int] = {}
        self._wrapped = BookKeeping(entered)

    def sum(self, records: Tensor, max_grad_norm: float) -> NDArray[np.float64]:
        """As ``clipped_sum``.

        A record whose gradient is not finite is left out, and the others keep what was drawn for them: made
        anew, it would depend on it. Networks go to the device at once, records a microbatch at a time.
        """
        place = self._device.place
        if next(self.entered.parameters()).device != place:
            self.entered.to(place)
        views = records.shape[1] if records.dim() == 3 else 1
        rows = records.detach().flatten(0, -2)
        draws = self.entered.draws(rows)
        size = views * self._device.at_once(self._bytes(records, draws, views))
        total = torch.zeros(count(self.entered), dtype=torch.float64)
        for part, drawn in microbatches(size, rows, draws):
            total += self._wrapped.clipped_sum(part.to(place), drawn.to(place), max_grad_norm, views).cpu()
        return np.asarray(total.numpy())

    def _bytes(self, records: Tensor, draws: Tensor, views: int) -> int:
        """Bytes that a record takes: of shapes alone, which are those of the last step."""
        if (found := self._each.get(records.shape[1:])) is None:
            self._wrapped.disable_hooks()
            rows = (records.flatten(0, -2), draws)
            found = bytes_of_a_row(self.entered, rows, self._wrapped.held(views), views)
            self._wrapped.enable_hooks()
            self._each[records.shape[1:]] = found
        return found

    def close(self) -> None:
        """Leave the networks as they came, but for their place."""
        self._wrapped.cleanup()


def _ready(layout: AnyLayout, plan: Plan, train: EveryStep, device: Device) -> Clipping:
    """Of this plan: made anew only where it is another one than at the last step."""
    key = (layout, plan.model, train.objective, plan.seed, device)
    if getattr(_KEPT, "key", None) != key:
        entered = new_family(layout, plan.model, train.objective, plan.seed).entered
        _KEPT.clipping, _KEPT.key = Clipping(entered, device), key
    found: Clipping = _KEPT.clipping
    return found
