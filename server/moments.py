"""From the opened noisy sums to a generator: post-processing, free of privacy cost.

The sums hold all noisy one-way and two-way counts. They are made consistent, turned into target
moments, and the generator is fitted so that its own moments agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from common.modalities.layout import Layout
from common.modalities.tabular import GramFeatures

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Estimated distribution of the pooled records, from released sums only.

    total: estimated number of records; singles: one-way shares, float64[width];
    pairs: two-way shares, float64[width, width], zero inside a column's own block;
    prior: share of each combination of conditions, float64[combinations]
    single_trust: how much less noise the single counts carry than the pairs (variance ratio)
    """

    total: float
    singles: Array
    pairs: Array
    prior: Array
    single_trust: float


def estimate(total: Array, layout: Layout, features: GramFeatures) -> Moments:
    """Consistent moments from an opened sum of feature maps, float64[features.count].

    Weighted least squares over all blocks that speak about the same number: a single count is seen
    in its own block and in the margins of every pair block.
    """
    gram = features.matrix(total)
    blocks = _blocks(layout.sizes)
    noise_single, noise_pair = 1.0 / features.single_weight**2, 1.0
    records = _records(gram, blocks, noise_single, noise_pair)
    singles = np.concatenate(
        [_singles(gram, blocks, j, noise_single, noise_pair) for j in range(len(blocks))]
    )
    singles = np.concatenate([_to_simplex(singles[block] / records) for block in blocks])
    pairs = _centred(gram / records, singles, blocks)
    return Moments(
        total=records,
        singles=singles,
        pairs=pairs,
        prior=_prior(pairs, singles, layout, blocks),
        single_trust=noise_pair / noise_single,
    )


def _blocks(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _records(gram: Array, blocks: list[slice], single: float, pair: float) -> float:
    """The number of records: every block sums to it; weighted by the noise of that sum."""
    sums, weights = [], []
    for block in blocks:
        width = block.stop - block.start
        sums.append(float(np.diag(gram)[block].sum()))
        weights.append(1.0 / (width * single))
    for a, b in combinations(blocks, 2):
        sums.append(float(gram[a, b].sum()))
        weights.append(1.0 / ((a.stop - a.start) * (b.stop - b.start) * pair))
    return max(1.0, float(np.average(sums, weights=weights)))


def _singles(gram: Array, blocks: list[slice], j: int, single: float, pair: float) -> Array:
    """Counts of column j from its own block and the margins of its pair blocks."""
    own = blocks[j]
    numerator = np.diag(gram)[own] / single
    denominator = 1.0 / single
    for i, other in enumerate(blocks):
        if i != j:
            weight = 1.0 / ((other.stop - other.start) * pair)
            numerator = numerator + gram[own, other].sum(axis=1) * weight
            denominator += weight
    return np.asarray(numerator / denominator)


def _to_simplex(values: Array) -> Array:
    """The nearest probability vector (Duchi et al. 2008, Figure 1)."""
    ordered = np.sort(values)[::-1]
    excess = np.cumsum(ordered) - 1.0
    last = np.nonzero(ordered - excess / np.arange(1, len(values) + 1) > 0)[0][-1]
    return np.asarray(np.maximum(values - excess[last] / (last + 1), 0.0))


def _centred(shares: Array, singles: Array, blocks: list[slice]) -> Array:
    """Pair blocks moved so that their margins are exactly the single shares."""
    pairs = np.zeros_like(shares)
    for a, b in combinations(blocks, 2):
        independent = np.outer(singles[a], singles[b])
        rest = shares[a, b] - independent
        rest = rest - rest.mean(0, keepdims=True) - rest.mean(1, keepdims=True) + rest.mean()
        pairs[a, b] = independent + rest
        pairs[b, a] = pairs[a, b].T
    return pairs


def _prior(pairs: Array, singles: Array, layout: Layout, blocks: list[slice]) -> Array:
    """Share of each combination of conditions.

    Two conditions: their noisy joint share. One: its share. More: the product of the shares, since
    only pairs are measured.
    """
    conditions = blocks[len(layout.generated) :]
    if len(conditions) == 2:
        return _to_simplex(pairs[conditions[0], conditions[1]].ravel())
    prior = np.ones(1)
    for block in conditions:
        prior = np.outer(prior, singles[block]).ravel()
    return np.asarray(prior / prior.sum())


def spectral_start(moments: Moments, layout: Layout, rank: int, ridge: float = 0.01) -> Array:
    """Weights of the generator's linear path, float64[generated_width, rank], or fewer columns than codes.

    To first order a record's probabilities are p + S W z with S the softmax's Jacobian, so W is chosen
    such that S W W' S matches the measured covariance between columns (factor analysis with the
    columns' own blocks imputed).
    """
    p = moments.singles
    owner = np.repeat(np.arange(len(layout.sizes)), layout.sizes)
    between = (owner[:, None] != owner[None, :]).astype(np.float64)
    covariance = (moments.pairs - np.outer(p, p)) * between
    jacobian = (np.diag(p) - np.outer(p, p)) * (1.0 - between)
    values, vectors = np.linalg.eigh(jacobian)
    positive = np.maximum(values, 0.0)
    half = (vectors * (np.sqrt(positive) / (positive + ridge))) @ vectors.T
    whitened = half @ covariance @ half
    imputed = whitened.copy()
    for _ in range(8):
        values, vectors = np.linalg.eigh(imputed)
        strength, leading = np.maximum(values[-rank:], 0.0), vectors[:, -rank:]
        imputed = whitened * between + ((leading * strength) @ leading.T) * (1.0 - between)
    weights = half @ (leading * np.sqrt(strength))
    return np.asarray(weights[: layout.generated_width, ::-1])
