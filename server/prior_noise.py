"""How far the released share of a combination of conditions can be off, which is public."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from common.contributions import array_features, pairs
from common.earlier import sum_noise
from common.plan import Plan
from common.schema import ArraySchema, Schema


def prior_noise(plan: Plan, schema: Schema) -> float:
    """Standard deviation of the noise in a combination's count, in units; with those of continued runs.

    Of tables as ``moments.estimate`` weighs its sums: of a class every pair block gives a count; a condition
    that does not split has the count of its value within the class, which is at least the combination's.
    """
    _, noise = sum_noise(plan)
    if isinstance(schema, ArraySchema):
        return noise / array_features(schema, plan).recipe.count
    features = pairs(schema, plan)
    widths = np.array([block.stop - block.start for block in features.blocks])
    spread = noise / features.pair_weights
    precision = [
        1 / (widths[i] * widths[j] * spread[i, j] ** 2) for i, j in combinations(range(len(widths)), 2)
    ]
    found = sum(precision) ** -0.5
    for place, column in enumerate(features.columns):
        if column >= len(features.layout.generated):
            others = [i for i in range(len(widths)) if i != place]
            found = max(found, sum(1 / (widths[i] * spread[i, place] ** 2) for i in others) ** -0.5)
    return float(found)
