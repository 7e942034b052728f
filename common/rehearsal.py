"""Records that nobody has: for rehearsals of a plan and for estimates of what it costs."""

from __future__ import annotations

import math

import numpy as np

from .plan import Plan
from .records import Records
from .schema import ArraySchema, Schema, TableSchema


def made_up_records(plan: Plan, schema: Schema, most_values: int | None = None) -> Records:
    """As many records as a site must at least hold, drawn from the schema alone.

    most_values: fewer, so that they hold so many values at most
    """
    random = np.random.default_rng(0)
    if isinstance(schema, TableSchema):
        count = _fewer(plan.min_records, len(schema.columns), most_values)
        codes = [random.integers(0, size, count) for size in schema.sizes]
        return Records.of(np.stack(codes, axis=1))
    assert isinstance(schema, ArraySchema)
    each = math.prod(schema.shape)
    count = _fewer(plan.min_records, each, most_values)
    values = random.random((count, each), np.float32)
    labels = random.integers(0, schema.classes, (count, 1)).astype(np.float32)
    return Records.of(np.concatenate([values, labels], axis=1))


def _fewer(count: int, each: int, most_values: int | None) -> int:
    return count if most_values is None else max(1, min(count, most_values // each))
