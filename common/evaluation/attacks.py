"""Membership attacks on released synthetic records: a score for each real record, no shadow models.

``public_scores`` needs released records alone, so that each site can score its own. ``density_scores`` also
knows other real records and is stronger where coincidences are common. Compare training with held-out
records, always: a fresh draw lies near records, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..schema import Schema
from .nearness import Nearest, nearest, nearest_other
from .space import Records, Space, space_of

Scores = NDArray[np.float64]

CLOSE = 1 / 3
"""A synthetic record stands out if the next different one is more than three times as far."""

_EXACT = 0.1  # part of the public scores that exact copies take up
_ALONE = (0.24, 0.16, 0.08)  # distances to the next synthetic record by which exact copies are told apart
_RATIOS = (0.1, 0.15, 0.2, 0.25, 0.3, CLOSE, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

PUBLIC_EDGES = (
    *(_EXACT * (1 - alone) for alone in _ALONE),
    _EXACT,
    *(_EXACT + (1 - _EXACT) * ratio for ratio in _RATIOS),
)
"""Inner borders of bins of public scores; a score equal to a border belongs above it. In the first four bins
are exact copies, the most solitary first; ``CLOSE`` is one of them."""

CLOSE_SCORE = _EXACT + (1 - _EXACT) * CLOSE
"""Public scores below this are of records that a synthetic one is close to."""


def public_scores(records: Records, synthetic: Records, schema: Schema) -> Scores:
    """float64[records] in [0, 1], the lower, the likelier a record was trained on.

    A record that a synthetic one equals scores in [0, 0.1), by how far the next different one is; another in
    [0.1, 1], by the ratio of the two. Raises TooFewRecordsError with fewer than 2 different synthetic
    records.
    """
    return public_of(nearest(records, synthetic, space_of(schema)))


def public_of(found: Nearest) -> Scores:
    """Public scores of distances that are known."""
    exact = _EXACT * (1 - found.second.astype(np.float64))
    near = _EXACT + (1 - _EXACT) * found.ratio.astype(np.float64)
    return np.where(found.exact, np.minimum(exact, np.nextafter(_EXACT, 0)), near)


def density_scores(found: Nearest, records: Records, space: Space) -> Scores:
    """float64[records], the higher, the likelier a record was trained on.

    The log of how much denser synthetic records are around it than real ones, by nearest neighbours: after
    DOMIAS (van Breugel et al. 2023). Where they put a reference population, here stand all other ``records``,
    trained on and held out together: which of them are which changes nothing, so that the score of a record
    is as high by chance on either side.

    found: of ``records``
    """
    half = space.step / 2
    others = nearest_other(records, space)
    return np.asarray(np.log(others + half) - np.log(found.first + half), np.float64)


PUBLIC_BINS = len(PUBLIC_EDGES) + 1
"""Of ``public_bins``."""

EXACT_BINS, CLOSE_BINS = len(_ALONE) + 1, PUBLIC_EDGES.index(CLOSE_SCORE) + 1
"""The first bins hold exact copies; the first of these and more, records that a synthetic one is close to."""


def public_bins(records: Records, synthetic: Records, schema: Schema) -> NDArray[np.int64]:
    """The bin of each record's public score: int64[records], the lower, the likelier it was trained on."""
    if not len(records):
        return np.zeros(0, np.int64)
    return np.searchsorted(PUBLIC_EDGES, public_scores(records, synthetic, schema), side="right")
