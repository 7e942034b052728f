"""From the two opened sums to consistent moments: post-processing, free of privacy cost.

The first sum holds noisy one-way counts on fine codes, the second all noisy two-way counts of each class on
grouped codes. What several of them say about the same number is averaged by weighted least squares; then
everything is projected to what shares can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from common.modalities.gram import GramFeatures
from common.modalities.grouping import Grouping
from common.modalities.histograms import HistogramFeatures
from common.modalities.layout import Layout
from common.modalities.simplex import to_simplex
from common.schema import TableSchema

Array = NDArray[np.float64]

_FAINT = 1e-6  # least share of a code in a class before raking, which cannot scale a row of zeros
_RAKING = 20  # passes; shares of a column agree with its joint shares and with the classes to about 1e-6


@dataclass(frozen=True, slots=True)
class Moments:
    """Estimated distribution of the pooled units, from released sums only.

    C classes, W width of a one-hot record without the splitting conditions, all as shares of all units.

    total: estimated number of units; prior: of each combination of conditions, float64[combinations]
    singles: float64[C, W], a column's part sums to the class; pairs: float64[C, W, W], zero inside a column
    single_precision: float64[C, W], pair_precision: float64[W, W], inverse variances of the noise in units of
    noise**-2; noise: standard deviation of a share
    """

    total: float
    prior: Array
    singles: Array
    pairs: Array
    single_precision: Array
    pair_precision: Array
    noise: float


@dataclass(frozen=True, slots=True)
class OneWay:
    """Noisy counts of each column that does not split, on grouped codes, and their standard deviations."""

    counts: list[Array]
    deviations: list[Array]


def one_way(
    total: Array, noise_multiplier: float, grouping: Grouping, schema: TableSchema, features: GramFeatures
) -> OneWay:
    """The opened histograms, float64[sum of schema.sizes], added up by group, in model order."""
    phi = HistogramFeatures(tuple(schema.sizes))
    raw, deviations = phi.counts(total), phi.deviations(noise_multiplier)
    parts = np.split(grouping.groups, np.cumsum(schema.sizes)[:-1])
    counts, spreads = [], []
    for j in features.columns:
        i = features.layout.order[j]
        groups = schema.groups[i]
        counts.append(np.bincount(parts[i], raw[i], groups).astype(np.float64))
        spreads.append(deviations[i] * np.sqrt(np.bincount(parts[i], minlength=groups)))
    return OneWay(counts, spreads)


def estimate(total: Array, features: GramFeatures, noise_multiplier: float, singles: OneWay) -> Moments:
    """Consistent moments from an opened sum of pairs, float64[features.count], and one-way counts.

    noise_multiplier: standard deviation of the noise in each coordinate of ``total``
    A group that no code belongs to has a one-way deviation of zero: nothing is ever there.
    """
    gram, blocks = features.matrices(total), features.blocks
    used = np.concatenate([deviation > 0 for deviation in singles.deviations])
    gram = gram * used[:, None] * used
    spread = features.spread(noise_multiplier)
    widths = np.array([used[block].sum() for block in blocks])
    class_totals = _class_totals(gram, features, spread, widths)
    records = max(1.0, float(class_totals.sum()))
    shares = to_simplex(class_totals / records)
    parts, variances = [], []
    for j, block in enumerate(blocks):
        margins, variance = _margins(gram, features, spread, widths, j)
        fine, deviation = singles.counts[j], singles.deviations[j]
        gain = variance / (features.classes * variance + deviation**2)
        gain = np.where(used[block], gain, 0.0)
        margins = (margins + gain * (fine - margins.sum(0))) * used[block]
        part = np.zeros_like(margins)
        inside = used[block]
        part[:, inside] = _raked(margins[:, inside], class_totals, shares, records)
        parts.append(part)
        variances.append(np.broadcast_to(variance * (1 - gain), margins.shape))
    one = np.concatenate(parts, axis=1)
    noise = noise_multiplier / records
    return Moments(
        total=records,
        prior=_prior(one, gram, shares, features),
        singles=one,
        pairs=_centred(gram / records, one, shares, blocks, used),
        single_precision=noise_multiplier**2 / np.concatenate(variances, axis=1) * used,
        pair_precision=features.pair_precision * used[:, None] * used,
        noise=noise,
    )


def _class_totals(gram: Array, features: GramFeatures, spread: Array, widths: Array) -> Array:
    """Units of each class: every pair block sums to it; weighted by the noise of that sum. float64[C]."""
    pairs = list(combinations(range(len(features.blocks)), 2))
    sums = np.stack([gram[:, features.blocks[i], features.blocks[j]].sum((1, 2)) for i, j in pairs])
    weights = [1 / (widths[i] * widths[j] * spread[i, j] ** 2) for i, j in pairs]
    return np.asarray(np.average(sums, axis=0, weights=weights))


def _margins(
    gram: Array, features: GramFeatures, spread: Array, widths: Array, j: int
) -> tuple[Array, float]:
    """Counts of column j in each class from margins of its pair blocks, [C, codes], and their variance."""
    others = [i for i in range(len(features.blocks)) if i != j]
    weights = [1 / (widths[i] * spread[i, j] ** 2) for i in others]
    margins = [gram[:, features.blocks[j], features.blocks[i]].sum(2) for i in others]
    return np.asarray(np.average(margins, axis=0, weights=weights)), 1 / sum(weights)


def _raked(margins: Array, class_totals: Array, shares: Array, records: float) -> Array:
    """Counts [C, codes] as shares that agree with the joint shares and the classes."""
    joint = to_simplex(margins.sum(0) / records)
    scaled = [to_simplex(m / max(t, 1e-9)) for m, t in zip(margins, class_totals, strict=True)]
    found = np.maximum(np.stack(scaled), _FAINT) * shares[:, None]
    for _ in range(_RAKING):
        found = found * (joint / np.maximum(found.sum(0), 1e-12))
        found = found * (shares / np.maximum(found.sum(1), 1e-12))[:, None]
    return np.asarray(found)


def _centred(shares: Array, singles: Array, classes: Array, blocks: list[slice], used: Array) -> Array:
    """Pair blocks [C, W, W] moved so that their margins are the single shares, where codes are used."""
    pairs = np.zeros_like(shares)
    for a, b in combinations(blocks, 2):
        rows, columns = used[a][:, None].astype(float), used[b][None, :].astype(float)
        inside = rows * columns
        independent = singles[:, a, None] * singles[:, None, b]
        independent = independent / np.maximum(classes, 1e-9)[:, None, None]
        rest = (shares[:, a, b] - independent) * inside
        high, wide = rows.sum(), columns.sum()
        rest = rest - inside * (
            rest.sum(1, keepdims=True) / high
            + rest.sum(2, keepdims=True) / wide
            - rest.sum((1, 2), keepdims=True) / (high * wide)
        )
        pairs[:, a, b] = independent + rest
        pairs[:, b, a] = pairs[:, a, b].transpose(0, 2, 1)
    return pairs


def _prior(singles: Array, gram: Array, classes: Array, features: GramFeatures) -> Array:
    """Share of each combination of conditions: float64[combinations], last condition fastest.

    Conditions that split have their noisy joint share; two others within a class theirs; of more than two,
    the product of the shares, since only pairs are measured.
    """
    blocks = dict(zip(features.columns, features.blocks, strict=True))
    layout: Layout = features.layout
    conditions = range(len(layout.generated), len(layout.sizes))
    rest = [j for j in conditions if j not in features.split]
    grids = []
    for share, single, pairs in zip(classes, singles, gram, strict=True):
        inside = np.ones(1)
        if len(rest) == 2:
            block = pairs[blocks[rest[0]], blocks[rest[1]]]
            inside = to_simplex(block.ravel() / max(float(block.sum()), 1.0))
        else:
            for j in rest:
                inside = np.outer(inside, single[blocks[j]]).ravel()
        grids.append(share * inside / max(float(inside.sum()), 1e-12))
    shape = [layout.sizes[j] for j in (*features.split, *rest)]
    order = np.argsort([*features.split, *rest])
    return np.asarray(np.stack(grids).reshape(shape).transpose(order).ravel())
