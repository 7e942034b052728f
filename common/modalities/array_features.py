"""The feature map of images and signals: second moments and random Fourier features of low frequencies.

c: the lowest DCT coefficients of a record (``frequencies``), w their public weights; u = (w c, constant) /
norm, so that scale is seen. phi(o) has one block a class, zero but for the own: (a, g u u^T, r cos(W c)
/ sqrt(F), r sin(W c) / sqrt(F), and the same of windowed pieces), a vector of norm 1.

Formal guarantee: a unit moves the sum by at most 1 (L2). Its records share one weight of 1, and views of a
record are averaged. Random Fourier features: Rahimi and Recht 2007; as private moments: Harder et al. 2021.
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
from .frequencies import Frequencies, lowest, windowed_images, windowed_signals
from .views import random_view

Array = NDArray[np.float64]

_BATCH = 1024  # records at a time, which bounds memory
_SEED = 20_240_601  # of the public frequencies: any number, the same for all
_SAFE = 1 - 1e-9  # what float64 may understate of a norm, or lose in a sum of a million records


@dataclass(frozen=True)
class Recipe:
    """Public constants of a modality, as measured best.

    count: a; constant: beside the coefficients; gram: share of the coefficients of which second moments are
    taken; lengths: of plain random frequencies; ceiling: degree up to which these look
    """

    count: float
    constant: float
    gram: float
    lengths: tuple[float, ...]
    ceiling: float


IMAGES = Recipe(count=0.1, constant=8.0, gram=1.0, lengths=(2.5, 4.0, 6.0), ceiling=16.0)
SIGNALS = Recipe(count=0.25, constant=1.0, gram=0.75, lengths=(0.5, 1.0, 2.0), ceiling=math.inf)


@dataclass(frozen=True)
class ArrayFeatures:
    """phi for one layout.

    coefficients: frequencies of each axis; plain, windowed: how many random frequencies of either kind
    """

    layout: ArrayLayout
    coefficients: int
    plain: int
    windowed: int
    views: Views | None

    @classmethod
    def of(cls, layout: ArrayLayout, measure: ArrayMeasure) -> ArrayFeatures:
        """As a plan says."""
        return cls(layout, measure.coefficients, measure.plain, measure.windowed, measure.views)

    @property
    def recipe(self) -> Recipe:
        """Constants of the modality."""
        return IMAGES if len(self.layout.shape) == 3 else SIGNALS

    @property
    def classes(self) -> int:
        """Blocks."""
        return self.layout.classes

    @cached_property
    def low(self) -> Frequencies:
        """The coefficients looked at."""
        return lowest(self.layout, self.coefficients)

    @cached_property
    def squared(self) -> Tensor:
        """Which coefficients are in u, ascending."""
        limit = self.recipe.gram * (float(self.low.degree.max()) + 1)
        return (self.low.degree < limit).nonzero().squeeze(1)

    @cached_property
    def upper(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of u u^T that phi holds."""
        width = len(self.squared) + 1
        rows, columns = torch.triu_indices(width, width)
        return rows, columns

    @cached_property
    def waves(self) -> tuple[Tensor, Tensor]:
        """W of plain and of windowed frequencies: float64[K, plain], and [K or values, windowed]."""
        random = torch.Generator().manual_seed(_SEED)
        normal = torch.randn(len(self.low.degree), self.plain, generator=random, dtype=torch.float64)
        lengths = torch.tensor(self.recipe.lengths, dtype=torch.float64)
        normal = normal / lengths[torch.arange(self.plain) % len(lengths)]
        normal[self.low.degree >= self.recipe.ceiling] = 0.0
        if len(self.layout.shape) == 3:
            return normal, windowed_images(self.layout, self.coefficients, self.windowed, random)
        return normal * self.low.weights[:, None], windowed_signals(self.layout, self.windowed, random)

    @property
    def parts(self) -> list[int]:
        """Lengths of the parts of a class's block: count, second moments, plain and windowed waves."""
        return [1, len(self.upper[0]), 2 * self.plain, 2 * self.windowed]

    @property
    def block(self) -> int:
        """Length of phi's block of one class."""
        return sum(self.parts)

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

    @cached_property
    def weights(self) -> tuple[float, float, float]:
        """Of second moments, plain and windowed waves: with a, their squares add up to 1."""
        images = len(self.layout.shape) == 3
        waves = [float(number) for number in (self.plain, self.windowed)]
        if images:  # all random frequencies together weigh as much as the second moments
            raw = [1.0, *(number / max(1.0, sum(waves)) for number in waves)]
        else:
            raw = [1.0, *(float(number > 0) for number in waves)]
        scale = (1 - self.recipe.count**2) / sum(raw)
        second, plain, windowed = (math.sqrt(part * scale) for part in raw)
        return second, plain, windowed

    @property
    def count_noise(self) -> float:
        """Standard deviation of the number of all units, in units of the noise."""
        return math.sqrt(self.classes) / self.recipe.count

    def coefficients_of(self, values: Tensor) -> Tensor:
        """c of records [B, values] between -1 and 1: [B, K]."""
        shifted = values + 1 if len(self.layout.shape) == 3 else values
        c: Tensor = shifted @ self._as(self.low.rows, values).T
        return c

    def unit(self, c: Tensor) -> Tensor:
        """u of coefficients [B, K], of norm 1: [B, width]."""
        weighted = c[:, self.squared] * self._as(self.low.weights, c)[self.squared]
        u = torch.cat([weighted, torch.full_like(c[:, :1], self.recipe.constant)], dim=1)
        length: Tensor = u.norm(dim=1, keepdim=True)
        return u / length

    def phases(self, values: Tensor, c: Tensor, chosen: tuple[Tensor, Tensor] | None = None) -> list[Tensor]:
        """W c of plain and windowed frequencies, or of some of them: [B, number] each."""
        plain, windowed = (self._as(wave, c) for wave in self.waves)
        if chosen is not None:
            plain, windowed = plain[:, chosen[0]], windowed[:, chosen[1]]
        seen = c if len(self.layout.shape) == 3 else values
        return [c @ plain, seen @ windowed]

    def sum(self, rows: NDArray[Any], weights: Array) -> Array:
        """Sum of weight * phi over records: float64[count], in float64 throughout."""
        total = torch.zeros(self.classes, self.block, dtype=torch.float64)
        labels = torch.from_numpy(self.layout.labels(rows))
        random = torch.Generator().manual_seed(int(Csprng().below(2**62, 1)[0]))
        views = self.views.count if self.views else 1
        for start in range(0, len(rows), _BATCH):
            part = slice(start, start + _BATCH)
            values = torch.from_numpy(self.layout.scaled(rows[part])).double()
            share = torch.from_numpy(weights[part]) * (_SAFE / views)
            for _ in range(views):
                self._add(total, self._viewed(values, random), labels[part], share)
        return total.flatten().numpy()

    def _viewed(self, values: Tensor, random: torch.Generator) -> Tensor:
        if self.views is None:
            return values
        return random_view(values.view(-1, *self.layout.shape), self.views, random).flatten(1)

    def _add(self, total: Tensor, values: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Add the features of some records to ``total`` [classes, block]."""
        c = self.coefficients_of(values)
        u, second = self.unit(c), self.weights[0]
        phases = zip(self.weights[1:], self.phases(values, c), strict=True)
        waves = torch.cat([self._wave(weight, angle) for weight, angle in phases], dim=1)
        for label in range(self.classes):
            mine = labels == label
            share = weights[mine, None]
            square = (u[mine] * share).T @ u[mine]
            added = [self.recipe.count * share.sum()[None], second * self.triangle(square)]
            total[label] += torch.cat([*added, (waves[mine] * share).sum(0)])

    @staticmethod
    def _wave(weight: float, phases: Tensor) -> Tensor:
        scale = weight / math.sqrt(max(1, phases.shape[1]))
        return torch.cat([phases.cos(), phases.sin()], dim=1) * scale

    def triangle(self, square: Tensor) -> Tensor:
        """The upper triangle of symmetric matrices [..., width, width], off-diagonals times sqrt(2)."""
        rows, columns = self.upper
        return square[..., rows, columns] * torch.where(rows == columns, 1.0, math.sqrt(2)).to(square)

    def counts(self, total: Array) -> Array:
        """Units of each class by a (noisy) sum: float64[classes]."""
        return np.asarray(total.reshape(self.classes, self.block)[:, 0] / self.recipe.count)

    def means(self, total: Array) -> tuple[Tensor, Tensor, Tensor]:
        """A (noisy) sum as means over each class, without the weights: float32.

        Second moments [classes, width, width]; plain and windowed waves [classes, 2, number].
        """
        counts = np.maximum(self.counts(total), 1.0)
        each = torch.from_numpy(total.reshape(self.classes, self.block) / counts[:, None]).float()
        _, triangles, *waves = each.split(self.parts, dim=1)  # type: ignore[no-untyped-call]
        found = [
            part.view(self.classes, 2, -1) * (math.sqrt(max(1, part.shape[1] // 2)) / max(weight, 1e-9))
            for part, weight in zip(waves, self.weights[1:], strict=True)
        ]
        return self._symmetric(triangles / self.weights[0]), found[0], found[1]

    def _symmetric(self, triangles: Tensor) -> Tensor:
        """Inverse of ``triangle``."""
        rows, columns = self.upper
        square = torch.zeros(self.classes, len(self.squared) + 1, len(self.squared) + 1)
        square[:, rows, columns] = triangles * torch.where(rows == columns, 0.5, math.sqrt(0.5))
        return square + square.transpose(1, 2)

    def _as(self, constant: Tensor, like: Tensor) -> Tensor:
        """A public constant in the type of a batch."""
        if like.dtype == torch.float64:
            return constant
        place = (id(constant), like.device)
        if (known := self._narrow.get(place)) is None:
            known = self._narrow[place] = constant.to(like)
        return known

    @cached_property
    def _narrow(self) -> dict[tuple[int, torch.device], Tensor]:
        return {}
