"""Clipped sums of gradients in one backward pass: Opacus' hooks, with a book of what each layer saw.

Bu, Wang, Zha, Karypis 2023, "Differentially Private Optimization on Large Model at Small Cost" (section 3:
book-keeping): a layer's gradient is a product of its input and of the gradient of its output. Where both are
kept, the weighted sum needs no second backward pass, and the first makes no gradient of a parameter.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import create_norm_sample
from opacus.validators import ModuleValidator
from torch import Tensor, nn
from torch.nn.functional import pad

from common.models.pair import count

SAFE = 1 - 1e-9
"""More than float64 understates of a norm and loses in a sum: n records' of norm 1 are off by at most
n**2 2**-53, which is 10**-10 at a thousand, and by far less in practice, where errors go both ways."""

_OPACUS = GradSampleModuleFastGradientClipping.GRAD_SAMPLERS

_Seen = tuple[nn.Module, Tensor, Tensor]  # a layer, its input, and its output or the gradient of this


def conv1d_gradients(layer: nn.Conv1d, given: list[Tensor], slopes: Tensor) -> dict[nn.Parameter, Tensor]:
    """Opacus' gradients of a convolution [B, out, in, k], a third of the time: patches are a view, not a copy
    for each place. given: [[B, in, length]]; slopes: [B, out, places]
    """
    if layer.groups != 1 or layer.dilation != (1,) or layer.padding_mode != "zeros":
        found: dict[nn.Parameter, Tensor] = _OPACUS[nn.Conv1d](layer, given, slopes)
        return found
    (size,), (stride,) = layer.kernel_size, layer.stride
    if isinstance(layer.padding, str):
        whole = size - 1 if layer.padding == "same" else 0
        padding = (whole // 2, whole - whole // 2)
    else:
        padding = (layer.padding[0], layer.padding[0])
    patches = pad(given[0], padding).unfold(2, size, stride)  # [B, in, places, k]
    products = slopes @ patches.transpose(1, 2).flatten(2)
    sums = {"weight": lambda: products.view(-1, *layer.weight.shape), "bias": lambda: slopes.sum(2)}
    return {parameter: sums[name]() for name, parameter in layer.named_parameters()}


class BookKeeping(GradSampleModuleFastGradientClipping):  # type: ignore[misc]
    """Networks whose losses are those of their records, with hooks on their way forward alone.

    Norms come from Opacus' samplers, by layer and by how many positions of it a record has (T: its views, the
    places of a convolution). The rule of mixed ghost clipping (Bu, Mao, Xu 2022, section 4: no gradient is
    made where 2 T**2 is less than its numbers) is one of memory. In time the product of input and output is
    made anyway, so a gradient is left unmade only at T = 1: that of a dense layer without views has the norm
    of its input times that of its output's slope. At T > 1 this would be unsafe, too: the short cut adds
    terms of both signs, and may find nothing of a gradient that is small beside them.

    Guarantee: what a record adds to the sum has norm at most 1, whatever the state, with rounding. Norm and
    summand are made of the same numbers: a gradient that is held, or two vectors of p and q numbers, however
    many digits the networks lost on the way to them. A norm is a root of a sum of squares, of which nothing
    cancels, so that float64 understates it by a factor of at least 1 - (p + q + 16) 2**-53; ``SAFE`` covers
    that up to a million numbers in a layer.

    The other half of the guarantee is that a record's vectors do not depend on who else is there. Products of
    matrices round differently with the size of a batch, and where that turns the sign of a unit, the slope of
    its activation jumps. In float32 so it goes with about one unit in 10**7, often enough in a training of
    many steps; in float64 with one in 10**16. Hence float64, in networks too.
    """

    GRAD_SAMPLERS: ClassVar[dict[type[nn.Module], Any]] = {**_OPACUS, nn.Conv1d: conv1d_gradients}

    def __init__(self, networks: nn.Module) -> None:
        """Raises NotImplementedError where Opacus has no sampler for a layer with parameters, and Opacus'
        UnsupportedModuleError where a layer mixes records.
        """
        ModuleValidator.validate(networks, strict=True)
        super().__init__(networks, loss_reduction="sum")
        self._book: list[_Seen] = []

    def add_hooks(self, **_: Any) -> None:
        """Forward hooks on every layer with parameters."""
        self._module.autograd_grad_sample_hooks = self.autograd_grad_sample_hooks = []
        for layer in self.iterate_submodules(self._module):
            if type(layer) not in self.GRAD_SAMPLERS:
                raise NotImplementedError(f"no sampler of gradients for {type(layer).__name__}")
            self.autograd_grad_sample_hooks.append(layer.register_forward_hook(self.note))
        self.enable_hooks()

    def note(self, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep what a layer got and gave. Raises NotImplementedError for one that is used twice."""
        if not self.hooks_enabled:
            return
        if any(seen is layer for seen, _, _ in self._book):
            raise NotImplementedError("a layer that is used twice has no gradient of its own")
        self._book.append((layer, given[0].detach(), output))

    def held(self, views: int) -> int:
        """Numbers of gradients that are held for each of a record's views."""
        made = [layer for layer in self.iterate_submodules(self._module) if views > 1 or _has_places(layer)]
        return 3 * sum(count(layer) for layer in made)

    def clipped_sum(self, records: Tensor, draws: Tensor, max_grad_norm: float, views: int = 1) -> Tensor:
        """sum over records of clip(mean gradient of their views) / max_grad_norm: float64[parameters].

        records: float64[B * views, W], those of a record one after another; draws: [B * views, numbers]
        One with a gradient that is not finite is left out.
        """
        parameters = self.trainable_parameters
        if len(records) == 0:  # a Poisson sample may be empty
            return records.new_zeros(sum(parameter.numel() for parameter in parameters))
        book = self._backward(records, draws)
        made = {p: each for seen in book for p, each in self._norms(*seen, views).items()}
        norms: Tensor = self.get_norm_sample()
        if not (sound := norms.isfinite()).all():
            kept = sound.repeat_interleave(views)
            return self.clipped_sum(records[kept], draws[kept], max_grad_norm, views)
        weights = SAFE / norms.clamp(min=max_grad_norm)
        found = {p: weights @ each for p, each in made.items()}
        for layer, given, slopes in book:
            if next(layer.parameters()) not in found:
                found |= _weighted(layer, given, weights[:, None] * slopes)
        return torch.cat([found[parameter].flatten() for parameter in parameters])

    def _backward(self, records: Tensor, draws: Tensor) -> list[_Seen]:
        """Layers with their inputs and the gradients of the losses by their outputs."""
        self._book.clear()
        losses = self(records, draws)
        book = [*self._book]
        self._book.clear()
        slopes = torch.autograd.grad(losses.sum(), [output for _, _, output in book])
        return [(layer, given, slope) for (layer, given, _), slope in zip(book, slopes, strict=True)]

    def _norms(
        self, layer: nn.Module, given: Tensor, slopes: Tensor, views: int
    ) -> dict[nn.Parameter, Tensor]:
        """Leave norms where Opacus looks for them; the gradients [B, numbers], where they were made."""
        kind = type(layer)
        if kind is nn.Linear and views == 1 and slopes.dim() == 2:
            for parameter, norms in self.NORM_SAMPLERS[kind](layer, [given], slopes).items():
                parameter._norm_sample = norms
            return {}
        if kind is nn.Linear:  # all views in one product
            made = self.GRAD_SAMPLERS[kind](
                layer, [_by_record(given, views)], _by_record(slopes, views) / views
            )
        else:
            each = self.GRAD_SAMPLERS[kind](layer, [given], slopes)
            made = {p: e if views == 1 else _by_record(e, views).mean(1) for p, e in each.items()}
        for parameter, each in made.items():
            create_norm_sample(param=parameter, grad_sample=each, max_batch_len=len(each))
        return {parameter: each.flatten(1) for parameter, each in made.items()}


def _by_record(rows: Tensor, views: int) -> Tensor:
    return rows.view(-1, views, *rows.shape[1:])


def _has_places(layer: nn.Module) -> bool:
    return type(layer) is not nn.Linear


def _weighted(layer: nn.Module, given: Tensor, slopes: Tensor) -> dict[nn.Parameter, Tensor]:
    """The sum over records of a dense layer's gradients. slopes: weighted, [B, p]; given: [B, q]"""
    sums = {"weight": lambda: slopes.T @ given, "bias": lambda: slopes.sum(0)}
    return {parameter: sums[name]() for name, parameter in layer.named_parameters()}
