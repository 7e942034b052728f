"""A step of DP-SGD by several ways beside the same step without DP: one batch, the same networks."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from ..contributions import family_of, layout_of
from ..modalities.layout import Layout
from ..models.encoding import record_tensor
from ..models.family import Entered
from ..plan import Plan
from ..records import Rows
from ..rehearsal import synthetic_rows
from ..schema import Schema, TableSchema
from .made_up import some_grouping
from .timed import spread, worked

PLAIN = "without DP, float32"
"""What all ways are compared with."""

WIDE = "without DP, float64"
"""What float64 costs by itself."""

OURS = "book-keeping, float64 (ours)"
_FUNCTORCH = "functorch, float64"
_MOST_BY_FUNCTORCH = 256  # records; more take seconds, at the same cost for each


def steps(name: str, plan: Plan, schema: Schema, batch: int, repeats: int) -> list[dict[str, Any]]:
    """One step's gradient by each way, in turn, so that all see the same state of the machine.

    ratio: to the median of ``PLAIN``; ratios: median, least and most over turns, each by its own turn of it
    """
    records = record_tensor(made_up_rows(schema, batch), layout_of(schema))
    ways = _ways(schema, plan, records)
    if batch > _MOST_BY_FUNCTORCH:
        del ways[_FUNCTORCH]
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(repeats + 1):  # the first warms up
        for way, work in ways.items():
            spent = worked(work)
            if turn:
                times[way].append(spent)
    plain = times[PLAIN]
    return [
        {
            "network": name,
            "batch": batch,
            "way": way,
            **spread(spent),
            "ratio": round(statistics.median(spent) / statistics.median(plain), 2),
            "ratios": _ratios(spent, plain),
        }
        for way, spent in times.items()
    ]


def _ratios(spent: list[float], plain: list[float]) -> list[float]:
    found = [one / other for one, other in zip(spent, plain, strict=True)]
    return [round(of(found), 2) for of in (statistics.median, min, max)]


def _ways(schema: Schema, plan: Plan, records: Tensor) -> dict[str, Callable[[], object]]:
    """Each with networks of its own, which stay what they are from step to step."""
    wide = records.double()

    def networks() -> Entered:
        return family_of(schema, plan).entered

    single, double, ghost, hooked, mapped, ours = (networks() for _ in range(6))
    gradient, device = import_module("client.gradient"), import_module("client.device")
    clipping = gradient.Clipping(ours.double(), device.Device.of("cpu"))
    for one in (double, ghost, hooked, mapped):
        one.double()
    return {
        PLAIN: lambda: _plain(single, records),
        WIDE: lambda: _plain(double, wide),
        OURS: lambda: clipping.sum(wide, 1.0),
        "Opacus ghost clipping, float64": lambda: _ghost(ghost, wide),
        "Opacus hooks, float64": lambda: _hooks(hooked, wide),
        _FUNCTORCH: lambda: _functorch(mapped, wide),
    }


def made_up_rows(schema: Schema, count: int) -> Rows:
    """Made-up records as feature maps and networks take them."""
    rows = synthetic_rows(schema, count)
    if isinstance(schema, TableSchema):
        rows = Layout.of(schema).to_model(some_grouping(schema).to_groups(rows, schema))
    return rows


def _plain(entered: Entered, records: Tensor) -> None:
    """Gradient of the mean loss."""
    loss = entered(records, entered.draws(records)).mean()
    torch.autograd.grad(loss, list(entered.parameters()))


def _ghost(entered: Entered, records: Tensor) -> None:
    """Opacus' norms by a backward pass, and a second one that sums with coefficients (Li et al. 2022)."""
    wrapped = import_module("opacus.grad_sample").GradSampleModuleFastGradientClipping(
        entered, loss_reduction="sum"
    )
    losses = wrapped(records.clone().requires_grad_(), entered.draws(records))
    losses.sum().backward(retain_graph=True)
    weights = 1 / wrapped.get_norm_sample().detach().clamp(min=1.0)
    wrapped.disable_hooks()
    torch.autograd.grad((weights * losses).sum(), list(entered.parameters()))
    wrapped.remove_hooks()
    entered.zero_grad()


def _hooks(entered: Entered, records: Tensor) -> None:
    """Opacus' hooks with every record's gradient in memory."""
    wrapped = import_module("opacus.grad_sample").GradSampleModule(entered, loss_reduction="sum")
    wrapped(records.clone().requires_grad_(), entered.draws(records)).sum().backward()
    made = [getattr(parameter, "grad_sample").flatten(1) for parameter in entered.parameters()]  # noqa: B009
    _clipped(made)
    wrapped.remove_hooks()
    entered.zero_grad()


def _functorch(entered: Entered, records: Tensor) -> None:
    """vmap of grad, a few records at a time (``chunk_size``)."""
    weights = {name: parameter.detach() for name, parameter in entered.named_parameters()}

    def loss(weights: dict[str, Tensor], record: Tensor, drawn: Tensor) -> Tensor:
        found: Tensor = torch.func.functional_call(entered, weights, (record[None], drawn[None]))
        return found.sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0), chunk_size=64)
    _clipped([one.flatten(1) for one in each(weights, records, entered.draws(records)).values()])


def _clipped(made: list[Tensor]) -> list[Tensor]:
    norms = torch.cat([one.norm(dim=1, keepdim=True) for one in made], dim=1).norm(dim=1)
    weights = 1 / norms.clamp(min=1.0)
    return [weights @ one for one in made]
