"""How far the released count of a combination of conditions can be off, which is public."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from common.contributions import array_features, pairs
from common.modalities.gram import GramFeatures
from common.plan import Plan
from common.schema import ArraySchema, Schema


def prior_noise(plan: Plan, schema: Schema, noise: float) -> float:
    """Standard deviation of the noise in a combination's count, in units.

    noise: in the sum of moments, relative to its sensitivity; with that of continued runs
    """
    if isinstance(schema, ArraySchema):
        return noise / array_features(schema, plan).recipe.count
    return table_noise(pairs(schema, plan), noise)


def table_noise(features: GramFeatures, noise: float) -> float:
    """Of a table, as ``moments`` counts its conditions. noise: standard deviation of a coordinate of the sum.

    A class has the average of its count in every pair block; two conditions that do not split a cell of
    their block; of another number of them, the noisiest has its value's margin, averaged over its blocks.
    """
    widths = np.array([block.stop - block.start for block in features.blocks])
    spread = features.spread(noise)
    both = combinations(range(len(widths)), 2)
    found = [_averaged([widths[i] * widths[j] * spread[i, j] ** 2 for i, j in both])]
    rest = [place for place, j in enumerate(features.columns) if j >= len(features.layout.generated)]
    if len(rest) == 2:
        found.append(spread[rest[0], rest[1]])
    else:
        others = [[i for i in range(len(widths)) if i != j] for j in rest]
        found += [
            _averaged([widths[i] * spread[i, j] ** 2 for i in rows])
            for j, rows in zip(rest, others, strict=True)
        ]
    return float(max(found))


def _averaged(variances: list[float]) -> float:
    """Standard deviation of the average of counts, each weighted by its precision."""
    return float(sum(1 / variance for variance in variances) ** -0.5)
