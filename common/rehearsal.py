"""Records that nobody has: for rehearsals of a plan and for estimates of what it costs."""

from __future__ import annotations

import math

import numpy as np

from .plan import Plan
from .records import Records
from .schema import ArraySchema, Schema, TableSchema


def made_up_records(plan: Plan, schema: Schema) -> Records:
    """As many records as a site must at least hold, drawn from the schema alone."""
    random = np.random.default_rng(0)
    if isinstance(schema, TableSchema):
        codes = [random.integers(0, size, plan.min_records) for size in schema.sizes]
        return Records.of(np.stack(codes, axis=1))
    assert isinstance(schema, ArraySchema)
    values = random.random((plan.min_records, math.prod(schema.shape)), np.float32)
    labels = random.integers(0, schema.classes, (plan.min_records, 1)).astype(np.float32)
    return Records.of(np.concatenate([values, labels], axis=1))
