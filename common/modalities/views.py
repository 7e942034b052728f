"""Random views of images: mirrored, rotated, shifted. Averaged before a bound, they cost no budget.

Formal guarantee: the mean of several vectors of norm at most 1 has norm at most 1, and so does a clipped mean
of gradients: a record's contribution stays bounded however many views it has (De et al. 2022, section 3.2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from ..phases import Views
from .array_layout import ArrayLayout


def random_view(images: Tensor, views: Views, random: torch.Generator) -> Tensor:
    """One view of each image, [B, C, H, W] to the same; what lies outside is filled from the edge."""
    count, side = len(images), images.shape[-1]
    if views.rotate == 0 and views.shift == 0:
        return _mirrored(images, random) if views.flip else images
    angle = (2 * torch.rand(count, generator=random) - 1) * math.radians(views.rotate)
    shift = (2 * torch.rand(count, 2, generator=random) - 1) * (2 * views.shift / side)
    cosine, sine = angle.cos(), angle.sin()
    theta = torch.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], dim=1).view(count, 2, 3)
    grid = affine_grid(theta.to(images), list(images.shape), align_corners=False)
    turned = grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _mirrored(turned, random) if views.flip else turned


def views_of(records: Tensor, views: Views, layout: ArrayLayout, random: torch.Generator) -> Tensor:
    """All views of records [B, W], each with its label: [B, K, W]."""
    values, labels = records[:, : layout.values], records[:, layout.values :]
    images = values.view(-1, *layout.shape)
    seen = [random_view(images, views, random).flatten(1) for _ in range(views.count)]
    return torch.stack([torch.cat([view, labels], dim=1) for view in seen], dim=1)


def _mirrored(images: Tensor, random: torch.Generator) -> Tensor:
    """Half of them, left to right."""
    chosen = torch.rand(len(images), generator=random) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(3), images)
