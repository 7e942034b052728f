"""Images or signals with their classes, as files hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sampler.provenance import SOURCE_TYPE

__all__ = ["SOURCE_TYPE", "Arrays"]


@dataclass(frozen=True, slots=True)
class Arrays:
    """Records of one size.

    values: of images uint8[records, channels, height, width]; of signals float32[records, channels,
    length] in the units of the schema; labels: codes int64[records] in the order of the schema's categories;
    subjects: whose record each is, text, str[records]; None if the schema names no subject
    """

    values: NDArray[Any]
    labels: NDArray[np.int64]
    subjects: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[Any]) -> Arrays:
        """The records at these places, or where a mask is true."""
        subjects = None if self.subjects is None else self.subjects[rows]
        return Arrays(self.values[rows], self.labels[rows], subjects)
