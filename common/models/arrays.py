"""Networks for images and signals: two kinds of conditional generator, and a strided discriminator.

Shapes: B batch, Z latent, C classes, V values of a record; S its spatial shape, (height, width) or (length,).
Radford, Metz, Chintala 2016 (DCGAN) without normalisation layers: batch statistics would let one record reach
another's gradient. Upsampling is nearest-neighbour and a convolution, whose per-record gradients Opacus has;
those of a transposed convolution it has not, and a decoder is trained on records.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from ..modalities.array_layout import ArrayLayout
from ..phases import ArrayModel
from .array_generator import ArrayGenerator
from .film import ImageFilm, SignalFilm

_SLOPE = 0.2
_SMALLEST = 4  # samples or pixels a side, where generators of signals start and discriminators end


class ConvolutionalGenerator(ArrayGenerator):
    """Noise projected and reshaped, a map of the label beside it, upsampled to the size of a record."""

    def __init__(self, layout: ArrayLayout, model: ArrayModel) -> None:
        super().__init__(model)
        width = model.generator_width
        self.sizes = sizes(layout)
        first = self.sizes[0]
        self.start = (width, *first)
        self.project = nn.Linear(model.latent, width * math.prod(first))
        self.label = nn.Linear(layout.classes, math.prod(first))
        convolution = nn.Conv2d if len(first) == 2 else nn.Conv1d
        kernel = 3 if len(first) == 2 else 9
        channels = [max(16, width >> i) for i in range(len(self.sizes))]
        inputs = [width + 1, *channels[1:]]
        self.stages = nn.ModuleList(
            convolution(a, b, kernel, padding="same") for a, b in zip(inputs, channels[1:], strict=False)
        )
        self.output = convolution(inputs[-1], layout.shape[0], kernel, padding="same")

    def forward(self, noise: Tensor, conditions: Tensor) -> Tensor:
        """Values [B, V]."""
        activation = leaky_relu(self.project(noise), _SLOPE).view(-1, *self.start)
        label = self.label(conditions).view(-1, 1, *self.start[1:])
        activation = torch.cat([activation, label], dim=1)
        for stage, size in zip(self.stages, self.sizes[1:], strict=True):
            activation = leaky_relu(stage(interpolate(activation, size)), _SLOPE)
        values: Tensor = torch.tanh(self.output(activation))
        return values.flatten(1)


class Strided(nn.Module):
    """Records [B, V + C] to ``outputs`` numbers: the label as one more channel, strided convolutions."""

    def __init__(self, layout: ArrayLayout, width: int, outputs: int) -> None:
        super().__init__()
        self._shape, self._values = layout.shape, layout.values
        spatial = layout.shape[1:]
        self.label = nn.Linear(layout.classes, math.prod(spatial))
        layers: list[nn.Module] = []
        channels = layout.shape[0] + 1
        while max(spatial) > 2 * _SMALLEST or not layers:
            if len(spatial) == 2:
                layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1)]
                spatial = tuple(side // 2 for side in spatial)
            else:
                layers += [nn.Conv1d(channels, width, 9, stride=4, padding=4)]
                spatial = ((spatial[0] - 1) // 4 + 1,)
            layers += [nn.LeakyReLU(_SLOPE)]
            channels, width = width, min(2 * width, 512)
        self.convolutions = nn.Sequential(*layers)
        self.score = nn.Linear(channels * math.prod(spatial), outputs)

    def forward(self, records: Tensor) -> Tensor:
        """[B, outputs]."""
        values, conditions = records[:, : self._values], records[:, self._values :]
        label = self.label(conditions).view(-1, 1, *self._shape[1:])
        maps = torch.cat([values.view(-1, *self._shape), label], dim=1)
        outputs: Tensor = self.score(self.convolutions(maps).flatten(1))
        return outputs


class ArrayDiscriminator(Strided):
    """A record with its one-hot label [B, V + C] to a logit [B]: positive means real."""

    def __init__(self, layout: ArrayLayout, width: int) -> None:
        super().__init__(layout, width, 1)

    def forward(self, records: Tensor) -> Tensor:
        """Logits [B]."""
        return super().forward(records).squeeze(1)


def sizes(layout: ArrayLayout) -> list[tuple[int, ...]]:
    """Spatial sizes through which a convolutional generator grows.

    Images double from at most 8 pixels a side; signals grow up to fourfold from 4 samples.
    """
    spatial = layout.shape[1:]
    if len(spatial) == 1:
        stages = max(1, math.ceil(math.log(spatial[0] / _SMALLEST, 4)))
        growth = (spatial[0] / _SMALLEST) ** (1 / stages)
        return [(_SMALLEST,), *((math.ceil(_SMALLEST * growth**i),) for i in range(1, stages)), spatial]
    found = [spatial]
    while found[0][0] % 2 == 0 and found[0][0] > 2 * _SMALLEST:
        found.insert(0, tuple(side // 2 for side in found[0]))
    return found


def new_generator(layout: ArrayLayout, model: ArrayModel) -> ArrayGenerator:
    """The generator a plan names."""
    if model.generator == "convolutional":
        return ConvolutionalGenerator(layout, model)
    return ImageFilm(layout, model) if len(layout.shape) == 3 else SignalFilm(layout, model)
