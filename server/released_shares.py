"""A table's released sums as the shares that its report shows: post-processing, free of privacy cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.contributions import histograms, pairs
from common.earlier import Noise
from common.evidence.reference import TwoWay
from common.modalities.gram import GramFeatures
from common.plan import Plan
from common.schema import TableSchema

from .continued import Sums
from .moments import Moments, estimate, one_way

Array = NDArray[np.float64]


def two_way(sums: Sums, plan: Plan, schema: TableSchema, noise: Noise) -> TwoWay:
    """One-way and two-way shares of a finished run's released sums, with the variance of their noise.

    The sums of a table have counts and a grouping. noise: in the sums
    """
    assert sums.counts is not None
    assert sums.grouping is not None
    features = pairs(schema, plan)
    count_noise, measure_noise = noise
    assert count_noise is not None
    singles = one_way(sums.counts, count_noise, sums.grouping, schema, features)
    moments = estimate(sums.moments, features, measure_noise, singles)
    shares, variances = _joint(moments, features, schema)
    deviations = histograms(schema).deviations(count_noise) / moments.total
    parts = np.split(sums.grouping.groups, np.cumsum(schema.sizes)[:-1])
    codes = [np.bincount(part, minlength=size) for part, size in zip(parts, schema.groups, strict=True)]
    spread = [deviation**2 * count for deviation, count in zip(deviations, codes, strict=True)]
    np.fill_diagonal(variances, np.concatenate(spread))
    return TwoWay(tuple(schema.groups), shares, variances, moments.total)


def _joint(moments: Moments, features: GramFeatures, schema: TableSchema) -> tuple[Array, Array]:
    """Shares and variances of noise of all pairs of groups, in schema order: [G, G] each."""
    starts = np.concatenate([[0], np.cumsum(schema.groups)[:-1]])
    free = _places(features, features.columns, starts)
    split = _places(features, features.split, starts)
    belongs = _belongs(features)
    classes = moments.singles[:, features.blocks[0]].sum(1)
    width = sum(schema.groups)
    shares, variances = np.zeros((width, width)), np.zeros((width, width))
    shares[np.ix_(free, free)] = moments.pairs.sum(0) + np.diag(moments.singles.sum(0))
    variances[np.ix_(free, free)] = _inverse(moments.pair_precision) * moments.noise**2 * features.classes
    mixed = belongs.T @ moments.singles
    noise = belongs.T @ (_inverse(moments.single_precision) * moments.noise**2)
    shares[np.ix_(split, free)], shares[np.ix_(free, split)] = mixed, mixed.T
    variances[np.ix_(split, free)], variances[np.ix_(free, split)] = noise, noise.T
    shares[np.ix_(split, split)] = belongs.T @ (classes[:, None] * belongs)
    return shares, variances


def _places(features: GramFeatures, columns: tuple[int, ...], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the groups of columns, given by their positions in model order, lie in schema order."""
    layout = features.layout
    parts = [starts[layout.order[j]] + np.arange(layout.sizes[j]) for j in columns]
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)


def _belongs(features: GramFeatures) -> Array:
    """Which group of each splitting condition a class has: [classes, their groups]."""
    sizes = [features.layout.sizes[j] for j in features.split]
    codes = np.unravel_index(np.arange(features.classes), sizes) if sizes else ()
    parts = [np.eye(size)[code] for size, code in zip(sizes, codes, strict=True)]
    return np.concatenate([np.zeros((features.classes, 0)), *parts], axis=1)


def _inverse(precision: Array) -> Array:
    return np.divide(1.0, precision, out=np.zeros_like(precision), where=precision > 0)
