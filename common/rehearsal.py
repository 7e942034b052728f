"""Records that nobody has: for rehearsals of a plan and for estimates of what it costs."""

from __future__ import annotations

import math

import numpy as np

from .arrays import Arrays
from .holdout import Split
from .modalities.array_layout import ArrayLayout
from .plan import Plan
from .records import Rows
from .schema import ArraySchema, Schema, TableSchema


def made_up_records(plan: Plan, schema: Schema, most_values: int | None = None) -> Split:
    """As many records to train on as a site must at least hold, drawn from the schema alone, and as many
    more as it would hold out.

    most_values: fewer, so that they hold so many values at most
    """
    share = plan.release.holdout
    wanted = math.ceil(plan.min_records / (1 - share))
    rows = synthetic_rows(schema, wanted if most_values is None else _fewer(wanted, schema, most_values))
    held = np.arange(len(rows)) >= max(1, round((1 - share) * len(rows)))
    return Split.of(rows, None, held)


def synthetic_rows(schema: Schema, count: int) -> Rows:
    """``count`` records that nobody has, as ``Records`` holds them."""
    random = np.random.default_rng(0)
    if isinstance(schema, TableSchema):
        return np.stack([random.integers(0, size, count) for size in schema.sizes], axis=1)
    assert isinstance(schema, ArraySchema)
    layout = ArrayLayout.of(schema)
    values = layout.natural(random.uniform(-1, 1, (count, layout.values)).astype(np.float32))
    return layout.to_rows(Arrays(values, random.integers(0, schema.classes, count)))


def _fewer(count: int, schema: Schema, most_values: int) -> int:
    each = len(schema.columns) if isinstance(schema, TableSchema) else math.prod(_shape(schema))
    return max(1, min(count, most_values // each))


def _shape(schema: Schema) -> tuple[int, ...]:
    assert isinstance(schema, ArraySchema)
    return schema.shape
