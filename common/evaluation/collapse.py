"""Mode collapse seen in generated records: classes without variety, copies, noise or label without effect.

It looks at generated records and released quantities only, never at a record: it may run anywhere, and costs
no privacy. So it cannot say whether the variety is that of the real data; image_scores can, where real
records may be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import squareform

Values = NDArray[Any]
Floats = NDArray[np.float64]

PER_CLASS, IN_ALL = 256, 2_560  # records looked at, at most: all pairs of them fit into memory
ENOUGH = 8  # records below which nothing is said about a class: too few pairs
SIDE = 16  # images are averaged over squares to at most this many a side: pixel noise is no variety
COPY = 0.03  # of the mean distance in a class: nearest neighbours so close need < 3 degrees of freedom at 256
COPIED = 0.5  # share of near copies: more than an unlucky few
POOR = 0.25  # of the median class: real classes of one data set differ by a factor of 2 to 3, not 4
STILL = 0.05  # of the mean distance of any two records: a class that hardly moves, even if most others do not
FROZEN = 0.02  # of the standard deviation of all values: 2 % of the contrast is invisible
CHANCE = 0.001  # probability that a class of such a share is missing from so many records by chance
NEGLIGIBLE = 0.005  # of the distance within: means 10 % of the spread apart; real MNIST and MIT-BIH: 0.3
SHUFFLES, SIGMAS = 50, 4.0  # a label without effect looks like shuffled labels; 4 sigma: not by luck

_ADVICE = {
    "missing": "no record of this class came out: check the conditions asked for, then its share in training",
    "poor": "its records are nearly alike while other classes vary: merge the class or raise its share, train"
    " longer, or weigh the variety of a batch",
    "copies": "most of its records are near copies of a few: do not release; lower the learning rate or take"
    " an earlier round",
    "frozen": "the noise has no effect, every class is a single record: do not release; lower the learning"
    " rate, widen the noise or weigh the variety of a batch",
    "ignores-label": "records of all classes look alike: do not use the labels; strengthen the condition in"
    " the generator, or train longer",
}


class Alarm(NamedTuple):
    """What is wrong, with which class (None: with the generator as a whole), and what to do."""

    class_index: int | None
    kind: str
    advice: str


@dataclass(frozen=True, slots=True)
class CollapseReport:
    """Distances are root mean squares of differences, in the scale of ``monitor``; NaN where not enough
    records.

    counts: generated records of each class, int64[classes]; covered: share of the prior's mass in classes
    with records; deviation: largest difference between a class's share and its prior (0 if labels follow it);
    nearest, pairwise: smallest and mean distance of two records of a class, float64[classes]; diversity:
    pairwise over its median across classes; copies: share of records with a neighbour in their class closer
    than 3 % of ``pairwise``; separation: energy distance between classes over the distance within, 0 if the
    label has no effect; by_chance: what shuffled labels stay below; alarms: none if nothing is wrong
    """

    counts: NDArray[np.int64]
    covered: float
    deviation: float
    nearest: Floats
    pairwise: Floats
    diversity: Floats
    copies: Floats
    separation: float
    by_chance: float
    alarms: tuple[Alarm, ...]


def monitor(values: Values, labels: NDArray[np.int64], prior: Floats, seed: int = 0) -> CollapseReport:
    """Look for collapse among generated records.

    values: uint8[records, channels, height, width], scaled to [-1, 1] and averaged to at most 16 pixels a
    side; or float[records, channels, length] (or [records, channels, height, width], averaged alike), each
    channel divided by its standard deviation; or float[records, features] as they are. labels:
    int64[records], 0 … classes - 1; prior: the released shares of the classes, float[classes], any sum above
    0. At most 256 records a class and 2,560 in all are looked at, drawn by ``seed``.

    Kinds of alarm: ``missing`` (a class of the prior without records); ``collapsed`` (a class far less varied
    than the others, or of near copies of a few records); ``frozen`` (every class is one record: the noise has
    no effect); ``ignores-label`` (classes lie apart no further than with shuffled labels, or negligibly).
    Energy distance: Székely and Rizzo 2013; it sees more than means, so signals of random phase too.
    Raises ValueError without records, with a label or a prior that cannot be, or if a value is not finite.
    """
    if not len(values) or labels.min() < 0 or labels.max() >= len(prior) or not prior.sum() > 0:
        raise ValueError("the monitor needs records, labels of the prior's classes and a prior above 0")
    random = np.random.default_rng(seed)
    counts = np.bincount(labels, minlength=len(prior)).astype(np.int64)
    rows = _rows(labels, counts, random)
    if not np.isfinite(values[rows]).all():
        raise ValueError("a generated value is not finite")
    points, labels = _points(values[rows]), labels[rows]
    between = _distances(points)
    nearest, pairwise, copies = _within(between, labels, len(prior))
    middle = float(np.nanmedian(pairwise)) if np.isfinite(pairwise).any() else np.nan
    separation, by_chance = _separation(between, labels, random)
    shares = prior / prior.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        diversity = np.where(pairwise == middle, 1.0, pairwise / middle)
    alarms = _missing(shares, counts)
    if np.isfinite(middle) and np.nanmax(pairwise) <= FROZEN * (float(points.std()) or 1.0):
        alarms.append(Alarm(None, "frozen", _ADVICE["frozen"]))
    else:
        overall = float(squareform(between, checks=False).mean()) if len(between) > 1 else np.nan
        alarms += _collapsed(diversity, pairwise / overall if overall else pairwise, copies)
    if separation <= max(by_chance, NEGLIGIBLE):
        alarms.append(Alarm(None, "ignores-label", _ADVICE["ignores-label"]))
    return CollapseReport(
        counts=counts,
        covered=float(shares[counts > 0].sum()),
        deviation=float(np.abs(counts / counts.sum() - shares).max()),
        nearest=nearest,
        pairwise=pairwise,
        diversity=diversity,
        copies=copies,
        separation=separation,
        by_chance=by_chance,
        alarms=tuple(alarms),
    )


def _rows(
    labels: NDArray[np.int64], counts: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Rows of at most so many records of each class."""
    most = min(PER_CLASS, max(ENOUGH, IN_ALL // int((counts > 0).sum())))
    found = [random.permutation(np.flatnonzero(labels == c))[:most] for c in range(len(counts))]
    return np.concatenate(found).astype(np.int64)


def _points(values: Values) -> Floats:
    """float64[records, numbers], a number for each sample, or for each square of pixels."""
    images = values.ndim == 4
    scaled = values / 127.5 - 1 if values.dtype == np.uint8 else values.astype(np.float64)
    if values.dtype != np.uint8 and values.ndim > 2:
        spread = scaled.std(axis=(0, *range(2, values.ndim)), keepdims=True)
        scaled = scaled / np.where(spread > 0, spread, 1.0)
    for axis in (2, 3) if images else ():
        side = scaled.shape[axis]
        starts = np.arange(0, side, -(-side // SIDE))
        widths = np.diff(starts, append=side).reshape((-1, 1) if axis == 2 else -1)
        scaled = np.add.reduceat(scaled, starts, axis) / widths
    return np.asarray(scaled.reshape(len(values), -1), np.float64)


def _distances(points: Floats) -> Floats:
    """Root mean square differences of all pairs, float64[records, records]; what rounding leaves is 0."""
    centred = points - points.mean(0)
    gram = centred @ centred.T
    squares = np.diag(gram)
    found = np.sqrt((squares[:, None] + squares - 2 * gram).clip(0) / points.shape[1])
    rounding = 1e-7 * np.sqrt(np.square(centred).mean()) + 1e-12 * np.sqrt(np.square(points).mean())
    np.fill_diagonal(found, 0.0)
    return np.where(found > rounding, found, 0.0)


def _within(between: Floats, labels: NDArray[np.int64], classes: int) -> tuple[Floats, Floats, Floats]:
    """Smallest and mean distance of a pair, and the share of near copies, of each class."""
    found = np.full((3, classes), np.nan)
    for code in range(classes):
        mine = np.flatnonzero(labels == code)
        if len(mine) >= ENOUGH:
            own = between[np.ix_(mine, mine)]
            mean = squareform(own, checks=False).mean()
            closest = (own + np.diag(np.full(len(mine), np.inf))).min(1)
            found[:, code] = closest.min(), mean, (closest <= COPY * mean).mean()
    return found[0], found[1], found[2]


def _separation(
    between: Floats, labels: NDArray[np.int64], random: np.random.Generator
) -> tuple[float, float]:
    """Energy distance over distance within, and what 4 sigma of shuffled labels stay below."""
    codes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    codes, keep = codes[counts >= ENOUGH], (counts >= ENOUGH)[places]
    if len(codes) < 2:
        return np.nan, np.nan
    between = between[np.ix_(keep, keep)]
    member = (labels[keep][:, None] == codes).astype(np.float64)
    observed = _energy(between, member)
    shuffled = [_energy(between, random.permutation(member)) for _ in range(SHUFFLES)]
    return observed, float(np.mean(shuffled) + SIGMAS * np.std(shuffled))


def _energy(between: Floats, member: Floats) -> float:
    """Mean over pairs of classes of 2 E|x - y| - E|x - x'| - E|y - y'|, over the mean of E|x - x'|;
    unbiased."""
    counts = member.sum(0)
    sums = member.T @ between @ member
    within = np.diag(sums) / (counts * (counts - 1))
    across = sums / np.outer(counts, counts)
    pairs = np.triu_indices(len(counts), 1)
    apart = float((2 * across - within[:, None] - within)[pairs].mean())
    level = float(within.mean())
    if level > 0:
        return apart / level
    return np.inf if apart > 0 else 0.0


def _missing(shares: Floats, counts: NDArray[np.int64]) -> list[Alarm]:
    by_chance = (1 - shares) ** counts.sum()
    found = np.flatnonzero((counts == 0) & (shares > 0) & (by_chance < CHANCE))
    return [Alarm(int(c), "missing", _ADVICE["missing"]) for c in found]


def _collapsed(diversity: Floats, movement: Floats, copies: Floats) -> list[Alarm]:
    """movement: mean distance in a class over that of any two records."""
    found = []
    for code in range(len(diversity)):
        if copies[code] > COPIED:
            found.append(Alarm(code, "collapsed", _ADVICE["copies"]))
        elif diversity[code] < POOR or movement[code] < STILL:
            found.append(Alarm(code, "collapsed", _ADVICE["poor"]))
    return found
