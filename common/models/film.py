"""Generators that moments fit quickest: dense layers that the label scales and shifts.

FiLM: Perez et al. 2018. Both write low frequencies, where the released moments are. An image starts from the
Gaussian of its class, which released second moments give; dense layers learn what is not Gaussian.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from ..modalities.array_layout import ArrayLayout
from ..modalities.frequencies import cosines, lowest
from ..phases import ArrayModel
from .array_generator import ArrayGenerator

_SLOPE = 0.2
PLANE = 32  # pixels a side that dense layers write at most; larger images are enlarged from them
_GENTLE = 0.1  # of the dense layers at the start, beside the Gaussian


class FilmTrunk(nn.Module):
    """(noise [B, Z], one-hot labels [B, C]) to [B, outputs]."""

    def __init__(self, latent: int, hidden: tuple[int, ...], classes: int, outputs: int) -> None:
        super().__init__()
        widths = (latent, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.film = nn.ModuleList(nn.Linear(classes, 2 * b) for b in hidden)
        self.output = nn.Linear(widths[-1], outputs)
        self.label = nn.Linear(classes, outputs, bias=False)
        for layer in (*self.film, self.label):
            assert isinstance(layer, nn.Linear)
            _zero(layer)

    def forward(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """[B, outputs]."""
        activation = noise
        for layer, film in zip(self.hidden, self.film, strict=True):
            scale, shift = film(conditions).chunk(2, dim=1)
            activation = leaky_relu(layer(activation) * (1 + scale) + shift, _SLOPE)
        outputs: Tensor = self.output(activation) + self.label(conditions)
        return outputs


class ImageFilm(ArrayGenerator):
    """tanh(mean + factor noise + dense layers): low frequencies of the class's Gaussian, and the rest.

    The Gaussian is one of K coefficients of ``frequencies.lowest``; nothing until ``start_at``. Dense layers
    write pixels, at most 32 a side; larger images are enlarged from them.
    """

    def __init__(self, layout: ArrayLayout, model: ArrayModel) -> None:
        super().__init__(model)
        low = lowest(layout, model.coefficients)
        self.shape = layout.shape
        self.plane = (layout.shape[0], *(min(PLANE, side) for side in layout.shape[1:]))
        self.register_buffer("_inverse", low.inverse.float(), persistent=False)
        self.mean = nn.Linear(layout.classes, len(low.degree), bias=False)
        self.factor = nn.Linear(layout.classes * model.latent, len(low.degree), bias=False)
        self.trunk = FilmTrunk(model.latent, model.generator_hidden, layout.classes, math.prod(self.plane))
        _zero(self.mean)
        _zero(self.factor)

    @torch.no_grad()
    def start_at(self, means: Tensor, factors: Tensor) -> None:
        """Begin at Gaussians of coefficients, with dense layers that hardly add to them.

        means: [C, K], factors: [C, K, R] with R at most the latent's
        """
        classes, count, rank = factors.shape
        wide = torch.zeros(classes, count, self.latent)
        wide[:, :, :rank] = factors
        self.mean.weight.copy_(means.T)
        self.factor.weight.copy_(wide.permute(1, 0, 2).reshape(count, -1))
        self.trunk.output.weight.mul_(_GENTLE)
        self.trunk.output.bias.zero_()

    def forward(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Values [B, V]."""
        beside = (conditions[:, :, None] * noise[:, None, :]).flatten(1)
        smooth = (self.mean(conditions) + self.factor(beside)) @ self.get_buffer("_inverse").to(noise)
        rest = self.trunk(noise, conditions).view(-1, *self.plane)
        if self.plane != self.shape:
            rest = interpolate(rest, self.shape[1:], mode="bilinear", align_corners=False)
        return torch.tanh(smooth - 1 + 2 * rest.flatten(1))


class SignalFilm(ArrayGenerator):
    """tanh of low DCT coefficients that dense layers write, the k-th of them times (1 + k)**-0.5.

    Beside a Gaussian as ``ImageFilm`` has it, these layers would learn less of a heartbeat's shape; they only
    begin by imitating it.
    """

    def __init__(self, layout: ArrayLayout, model: ArrayModel) -> None:
        super().__init__(model)
        channels, length = layout.shape
        count = min(model.coefficients, length)
        decay = (1 + torch.arange(count)) ** -0.5 * math.sqrt(length / 128)
        self._channels = channels
        self.register_buffer("_waves", cosines(length, count).float() * decay[:, None], persistent=False)
        self.trunk = FilmTrunk(model.latent, model.generator_hidden, layout.classes, channels * count)

    def forward(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Values [B, V]."""
        waves = self.get_buffer("_waves").to(noise)
        spectrum = self.trunk(noise, conditions).view(len(noise), self._channels, len(waves))
        return torch.tanh(spectrum @ waves).flatten(1)


def _zero(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
