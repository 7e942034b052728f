"""Records as networks see them: values or one-hot codes, then one-hot conditions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..modalities.array_layout import ArrayLayout
from ..modalities.layout import Layout
from ..records import Rows

AnyLayout = Layout | ArrayLayout


def record_tensor(rows: Rows, layout: AnyLayout) -> Tensor:
    """Records float32[B, W]. rows: of a table in model order and grouped, int64[B, columns]; else as kept."""
    if isinstance(layout, Layout):
        return _one_hot(rows, layout.sizes)
    values, labels = torch.from_numpy(layout.scaled(rows)), layout.labels(rows)[:, None]
    return torch.cat([values, _one_hot(labels, layout.conditions)], dim=1)


def condition_tensor(codes: NDArray[np.int64], layout: AnyLayout) -> Tensor:
    """Condition codes int64[B, conditions] as float32[B, C]."""
    return _one_hot(codes, layout.conditions)


def _one_hot(codes: NDArray[np.int64], sizes: tuple[int, ...]) -> Tensor:
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    flat = np.zeros((len(codes), sum(sizes)), np.float32)
    np.put_along_axis(flat, codes + offsets, 1.0, axis=1)
    return torch.from_numpy(flat)
