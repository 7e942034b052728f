"""The order in which both sides see a record: generated columns first, then conditions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..schema import TableSchema
from .tabular import Codes


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes and order of the columns of a schema as the models see them.

    generated, conditions: codes of each column; order: schema positions in model order
    """

    generated: tuple[int, ...]
    conditions: tuple[int, ...]
    order: tuple[int, ...]

    @classmethod
    def of(cls, schema: TableSchema) -> Layout:
        """The layout that a schema implies."""
        flags = [column.condition for column in schema.columns]
        free = [i for i, flag in enumerate(flags) if not flag]
        fixed = [i for i, flag in enumerate(flags) if flag]
        return cls(
            tuple(schema.groups[i] for i in free),
            tuple(schema.groups[i] for i in fixed),
            (*free, *fixed),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each column in model order."""
        return (*self.generated, *self.conditions)

    @property
    def generated_width(self) -> int:
        """Length of the generated part of a one-hot record."""
        return sum(self.generated)

    @property
    def condition_width(self) -> int:
        """Length of the condition part of a one-hot record."""
        return sum(self.conditions)

    @property
    def width(self) -> int:
        """Length of a one-hot record."""
        return self.generated_width + self.condition_width

    def to_model(self, codes: Codes) -> Codes:
        """Columns from schema order to model order."""
        return codes[:, list(self.order)]

    def to_schema(self, codes: Codes) -> Codes:
        """Columns from model order to schema order."""
        return codes[:, np.argsort(self.order)]

    def condition_grid(self) -> Codes:
        """All combinations of condition codes, ``int64[combinations, conditions]``, last one fastest."""
        axes = np.meshgrid(*(np.arange(size) for size in self.conditions), indexing="ij")
        return np.stack([axis.ravel() for axis in axes], axis=1).astype(np.int64)
