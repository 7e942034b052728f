"""Public linear maps of images and signals: their lowest frequencies, and windowed pieces of them.

Nothing here is measured: everything follows from the shape of a record and from seeds that all share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .array_layout import ArrayLayout

MOST_NUMBERS = 1 << 28
"""Of one array that a plan or a release has a machine make: two gigabytes."""

_SIDE = 28.0  # pixels: images of any size have coefficients as large as one of this size
_LENGTH = 128.0  # samples: likewise
_TILT = 6.0  # degrees after which an image's coefficients weigh sqrt(2): against the 1/f of natural images
_GROWTH = 4.0  # most that a signal's coefficients weigh
_MOST_SIGNAL = 256  # coefficients of all channels of a signal together
_WINDOWS = torch.tensor([3.0, 5.0, 8.0], dtype=torch.float64)  # pixels
_WINDOW_LENGTHS = torch.tensor([1.2, 2.0, 3.5], dtype=torch.float64)
_BROAD = 16  # frequencies of each axis inside a window
_OPPONENT = ((1.0, 1.0, 1.0), (1.0, -1.0, 0.0), (1.0, 1.0, -2.0))  # brightness and two colour axes


@dataclass(frozen=True)
class Frequencies:
    """The lowest DCT-II frequencies of all channels.

    rows: float64[K, values], orthogonal; degree: float64[K], how high each is (of an image, both axes added)
    weights: float64[K], public, against spectra that fall with the frequency
    """

    rows: Tensor
    degree: Tensor
    weights: Tensor

    @property
    def weighted(self) -> Tensor:
        """Rows times weights: float64[K, values]."""
        return self.rows * self.weights[:, None]

    @property
    def inverse(self) -> Tensor:
        """From coefficients, not weighted, to values: float64[K, values]."""
        return self.rows / self.rows.square().sum(1, keepdim=True)


def cosines(side: int, count: int) -> Tensor:
    """Orthonormal DCT-II of one axis, lowest frequency first: float64[count, side]."""
    places = (torch.arange(side, dtype=torch.float64) + 0.5) * math.pi / side
    rows = torch.cos(torch.arange(count, dtype=torch.float64)[:, None] * places) * math.sqrt(2 / side)
    rows[0] /= math.sqrt(2)
    return rows


def lowest(layout: ArrayLayout, coefficients: int) -> Frequencies:
    """The lowest of a layout. coefficients: of each axis, at most."""
    return _of_images(layout, coefficients) if len(layout.shape) == 3 else _of_signals(layout, coefficients)


def count(layout: ArrayLayout, coefficients: int) -> int:
    """How many ``lowest`` has: known before any is made."""
    if len(layout.shape) == 2:
        return layout.shape[0] * _of_channel(layout, coefficients)
    channels, side = layout.shape[0], layout.shape[-1]
    colours = len(_degrees(side, _colours(coefficients))[0]) if channels == 3 else 0
    return len(_degrees(side, coefficients)[0]) + 2 * colours


def _degrees(side: int, count: int) -> tuple[Tensor, Tensor]:
    """Frequencies u and v of both axes with u + v below 4/3 of ``count``."""
    u, v = torch.meshgrid(torch.arange(min(count, side)), torch.arange(min(count, side)), indexing="ij")
    kept = u + v < 4 * count / 3
    return u[kept], v[kept]


def _triangle(side: int, count: int, seen: int | None = None) -> tuple[Tensor, Tensor]:
    """Products of cosines of these frequencies: float64[K, side * side], and u + v.

    seen: pixels a side that they are looked at with, if fewer than ``side``; what these cannot show is zero
    """
    pixels = seen or side
    axis = torch.zeros(min(count, side), pixels, dtype=torch.float64)
    axis[:pixels] = cosines(pixels, min(count, side, pixels))
    u, v = _degrees(side, count)
    return (axis[u][:, :, None] * axis[v][:, None, :]).flatten(1), (u + v).double()


def _of_images(layout: ArrayLayout, coefficients: int) -> Frequencies:
    channels, side = layout.shape[0], layout.shape[-1]
    bright, degree = _triangle(side, coefficients)
    size = _SIDE / side / math.sqrt(channels) / 2  # values run over two units, as if over one
    if channels == 1:
        rows = bright
    else:
        colour, colour_degree = _triangle(side, _colours(coefficients))
        axes = torch.tensor(_OPPONENT, dtype=torch.float64)
        axes = axes / axes.norm(dim=1, keepdim=True)
        planes = zip(axes, (bright, colour, colour), strict=True)
        rows = torch.cat([torch.einsum("c,kp->kcp", axis, plane).flatten(1) for axis, plane in planes])
        degree = torch.cat([degree, colour_degree, colour_degree])
    return Frequencies(rows * size, degree, (1 + degree / _TILT).sqrt())


def _colours(coefficients: int) -> int:
    """Frequencies of an axis that are kept of colour, which is seen less sharply than brightness."""
    return max(2, 2 * coefficients // 3)


def _of_signals(layout: ArrayLayout, coefficients: int) -> Frequencies:
    channels, length = layout.shape
    count = _of_channel(layout, coefficients)
    size = math.sqrt(_LENGTH / length / channels)
    rows = torch.kron(torch.eye(channels, dtype=torch.float64), cosines(length, count) * size)
    degree = torch.arange(count, dtype=torch.float64).repeat(channels)
    return Frequencies(rows, degree, ((1 + degree) / 2).clamp(max=_GROWTH))


def _of_channel(layout: ArrayLayout, coefficients: int) -> int:
    """Coefficients of each channel of a signal."""
    return max(8, min(coefficients, layout.shape[1], _MOST_SIGNAL // layout.shape[0]))


def windowed_images(layout: ArrayLayout, coefficients: int, count: int, random: torch.Generator) -> Tensor:
    """Random directions inside random Gaussian windows, as functions of coefficients: float64[K, count].

    Windows are 3, 5 and 8 pixels wide on an image of 28 pixels a side, whatever size images have.
    """
    side, kind = int(_SIDE), torch.arange(count) % 3
    pixels = torch.arange(side, dtype=torch.float64)
    centres = 3 + 22 * torch.rand(count, 2, generator=random, dtype=torch.float64)
    windows = torch.exp(-((pixels - centres[:, :, None]) ** 2) / (2 * _WINDOWS[kind, None, None] ** 2))
    window = torch.einsum("nh,nw->nhw", windows[:, 0], windows[:, 1]).flatten(1)
    lengths = _WINDOW_LENGTHS[kind] * torch.exp(1.2 * torch.rand(count, generator=random).double() - 0.6)
    broad = torch.einsum("uh,vw->uvhw", *[cosines(side, _BROAD)] * 2).reshape(_BROAD**2, -1)
    found = []
    for channel in range(layout.shape[0]):
        kept = coefficients if channel == 0 else _colours(coefficients)
        plane, _ = _triangle(layout.shape[-1], kept, side)
        raw = torch.randn(count, len(broad), generator=random, dtype=torch.float64)
        found.append(plane @ ((raw @ broad) * window / lengths[:, None]).T)
    return torch.cat(found)


def windowed_signals(layout: ArrayLayout, count: int, random: torch.Generator) -> Tensor:
    """Random band-limited pieces inside random cosine windows: float64[values, count].

    Windows are 3/32, 3/16 and 3/8 of the length; half of the pieces look at one channel, half at all of them.
    """
    channels, length = layout.shape
    kept = min(length, max(64, length // 2))
    growth = ((1 + torch.arange(kept)) / 2).clamp(max=_GROWTH).double() * math.sqrt(64 / kept)
    uniform = torch.rand(count, 2, generator=random, dtype=torch.float64)
    kind = torch.randint(3, (2, count), generator=random)
    width = torch.tensor([3 / 32, 3 / 16, 3 / 8], dtype=torch.float64)[kind[0]] * length
    lengths = torch.tensor([0.35, 0.7, 1.4], dtype=torch.float64)[kind[1]]
    place = (torch.arange(length) - uniform[:, :1] * length) / width[:, None]
    window = torch.where(place.abs() < 0.5, torch.cos(math.pi * place) ** 2, 0.0)
    alone = uniform[:, 1] < 0.5
    chosen = torch.randint(channels, (count,), generator=random)
    size = math.sqrt(_LENGTH / length / channels)
    basis, pieces = cosines(length, kept), []
    for channel in range(channels):
        seen = torch.where(alone, (chosen == channel) * math.sqrt(channels), 1.0) * size / lengths
        raw = torch.randn(count, kept, generator=random, dtype=torch.float64)
        pieces.append(((raw * growth) @ basis) * window * seen[:, None])
    return torch.cat(pieces, dim=1).T.contiguous()
