"""The feature map of images and signals: second moments and random Fourier features of low frequencies.

c = lowest DCT coefficients of a record; u = (c, constant) / norm, so that scale is seen.
phi(o) = one block for each class, zero but for the record's own, which is
(a, g * u u^T, r * cos(W c) / sqrt(F), r * sin(W c) / sqrt(F)) with a**2 + g**2 + r**2 = 1: norm 1.

Formal guarantee: a unit moves the sum by at most 1 (L2). Its records share one weight of 1, and views of a
record are averaged. Random Fourier features: Rahimi and Recht 2007; their use in DP: Harder et al. 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..csprng import Csprng
from ..phases import ArrayMeasure, Views
from .array_layout import ArrayLayout
from .views import random_view

Array = NDArray[np.float64]

COUNT_WEIGHT = 0.1
"""a: enough to know the number of records, at 1 % of the squared norm."""

_BATCH = 2048  # records at a time, which bounds memory
_SEED = 20_240_601  # of the public frequencies: any number, the same for all


@dataclass(frozen=True)
class ArrayFeatures:
    """phi for one layout. coefficients: DCT frequencies of each axis; features: random frequencies F."""

    layout: ArrayLayout
    coefficients: int
    features: int
    views: Views | None

    @classmethod
    def of(cls, layout: ArrayLayout, measure: ArrayMeasure) -> ArrayFeatures:
        """As a plan says."""
        return cls(layout, measure.coefficients, measure.features, measure.views)

    @property
    def classes(self) -> int:
        """Blocks."""
        return self.layout.classes

    @cached_property
    def basis(self) -> Tensor:
        """Orthonormal DCT-II of one axis: float64[coefficients, side], lowest frequency first."""
        side = self.layout.shape[-1]
        k = min(self.coefficients, side)
        places = (torch.arange(side, dtype=torch.float64) + 0.5) * math.pi / side
        rows = torch.cos(torch.arange(k, dtype=torch.float64)[:, None] * places) * math.sqrt(2 / side)
        rows[0] /= math.sqrt(2)
        return rows

    @cached_property
    def kept(self) -> Tensor:
        """Which coefficients of a channel are kept: of an image a triangle of low ones, of a signal all."""
        k = len(self.basis)
        if len(self.layout.shape) == 2:
            return torch.arange(k)
        u, v = torch.meshgrid(torch.arange(k), torch.arange(k), indexing="ij")
        return (u + v < 4 * k // 3).flatten().nonzero().squeeze(1)

    @property
    def width(self) -> int:
        """Length of u: kept coefficients of all channels, and the constant."""
        return self.layout.shape[0] * len(self.kept) + 1

    @cached_property
    def frequencies(self) -> Tensor:
        """W: float64[width - 1, features]; normal with three scales in turn."""
        random = torch.Generator().manual_seed(_SEED)
        normal = torch.randn(self.width - 1, self.features, generator=random, dtype=torch.float64)
        scales = torch.tensor(self._lengths, dtype=torch.float64)
        return normal / scales[torch.arange(self.features) % len(scales)]

    @property
    def _lengths(self) -> tuple[float, ...]:
        return (2.5, 4.0, 6.0) if len(self.layout.shape) == 3 else (0.5, 1.0, 2.0)

    @property
    def _constant(self) -> float:
        return 5.0 if len(self.layout.shape) == 3 else 1.0

    @cached_property
    def upper(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of u u^T that phi holds."""
        rows, columns = torch.triu_indices(self.width, self.width)
        return rows, columns

    @property
    def block(self) -> int:
        """Length of phi's block of one class."""
        return 1 + len(self.upper[0]) + 2 * self.features

    @property
    def count(self) -> int:
        """Length of phi."""
        return self.classes * self.block

    @property
    def smallest(self) -> float:
        """The smallest value of a coordinate of phi."""
        return -1.0

    @property
    def largest(self) -> float:
        """The largest value of a coordinate of phi."""
        return 1.0

    @property
    def weights(self) -> tuple[float, float]:
        """g and r."""
        rest = 1 - COUNT_WEIGHT**2
        return (math.sqrt(rest / 2),) * 2 if self.features else (math.sqrt(rest), 0.0)

    def coefficients_of(self, values: Tensor) -> Tensor:
        """c of records [B, values] between -1 and 1: [B, width - 1]."""
        basis = self.basis.to(values)
        shaped = values.view(-1, *self.layout.shape)
        if len(self.layout.shape) == 2:
            return (shaped @ basis.T).flatten(1)
        side = self.layout.shape[-1]
        planes = (basis @ (shaped + 1) @ basis.T).flatten(2)[:, :, self.kept]
        return (planes * (14.0 / side)).flatten(1)  # as of 28 pixels a side, values from 0 to 1

    def unit_and_coefficients(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """u [B, width] of norm 1, and c [B, width - 1]."""
        c = self.coefficients_of(values)
        u = torch.cat([c, torch.full_like(c[:, :1], self._constant)], dim=1)
        return u / u.norm(dim=1, keepdim=True), c

    def sum(self, rows: NDArray[Any], weights: Array) -> Array:
        """Sum of weight * phi over records: float64[count], in float64 throughout."""
        total = torch.zeros(self.classes, self.block, dtype=torch.float64)
        labels = torch.from_numpy(self.layout.labels(rows))
        random = torch.Generator().manual_seed(int(Csprng().below(2**62, 1)[0]))
        for start in range(0, len(rows), _BATCH):
            part = slice(start, start + _BATCH)
            values = torch.from_numpy(self.layout.scaled(rows[part])).double()
            share = torch.from_numpy(weights[part])
            for _ in range(self.views.count if self.views else 1):
                seen = self._viewed(values, random)
                self._add(total, seen, labels[part], share / (self.views.count if self.views else 1))
        return total.flatten().numpy()

    def _viewed(self, values: Tensor, random: torch.Generator) -> Tensor:
        if self.views is None:
            return values
        return random_view(values.view(-1, *self.layout.shape), self.views, random).flatten(1)

    def _add(self, total: Tensor, values: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Add the features of some records to ``total`` [classes, block]."""
        u, c = self.unit_and_coefficients(values)
        phases = c @ self.frequencies
        g, r = self.weights
        waves = torch.cat([phases.cos(), phases.sin()], dim=1) * (r / math.sqrt(max(1, self.features)))
        for label in range(self.classes):
            mine = labels == label
            share = weights[mine, None]
            total[label, 0] += COUNT_WEIGHT * share.sum()
            total[label, 1 : 1 + len(self.upper[0])] += g * self.triangle((u[mine] * share).T @ u[mine])
            total[label, 1 + len(self.upper[0]) :] += (waves[mine] * share).sum(0)

    def triangle(self, square: Tensor) -> Tensor:
        """The upper triangle of symmetric matrices [..., width, width], off-diagonals times sqrt(2)."""
        rows, columns = self.upper
        return square[..., rows, columns] * torch.where(rows == columns, 1.0, math.sqrt(2)).to(square)

    def counts(self, total: Array) -> Array:
        """Units of each class by a (noisy) sum: float64[classes]."""
        return np.asarray(total.reshape(self.classes, self.block)[:, 0] / COUNT_WEIGHT)
