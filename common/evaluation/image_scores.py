"""Scores of generated images against real ones: what a classifier learns from them, and how far they lie
apart.

Everything here looks at real records: only for where they may be seen, at a site, in a simulation or in a
benchmark on public data. Nothing of it is part of a release. Each score has a twin, ``_real``, in which real
images take the place of the generated ones: the value to be reached, at the same number of records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from ..arrays import Arrays
from ..errors import TooFewRecordsError
from . import classifiers
from .classifiers import REFERENCE, SMALL_EPOCHS, STRONG_EPOCHS, Classifier
from .kernel_distance import kernel_distance

Values = NDArray[Any]

FOR_CLASSIFIER, FOR_DISTANCES, FOR_NEIGHBOURS = 20_000, 10_000, 5_000  # records looked at, at most
FEATURE_EPOCHS = 2
_AT_ONCE = 500


def domain_fid(real: Values, synthetic: Values) -> float:
    """Fréchet distance of two Gaussians with the means and covariances of the features, 0 is best.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2), after Heusel et al. 2017 but with features of the
    domain instead of Inception: compare figures of one feature net and one number of records only, since
    fewer records give higher figures. The roots are those of eigenvalues of symmetric matrices, cut at 0.
    real, synthetic: float[records, features], at least 2 records each
    """
    if min(len(real), len(synthetic)) < 2:
        raise TooFewRecordsError("a covariance needs at least 2 records on each side")
    (mean, spread), (other_mean, other_spread) = (_moments(side) for side in (real, synthetic))
    sizes, axes = np.linalg.eigh(spread)
    root = (axes * np.sqrt(sizes.clip(0))) @ axes.T
    between = root @ other_spread @ root
    shared = np.sqrt(np.linalg.eigvalsh((between + between.T) / 2).clip(0)).sum()
    apart = float(np.square(mean - other_mean).sum())
    return max(0.0, apart + float(np.trace(spread) + np.trace(other_spread) - 2 * shared))


def _moments(features: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    wide = features.astype(np.float64)
    return wide.mean(0), np.atleast_2d(np.cov(wide, rowvar=False))


def inception_like(probabilities: Values) -> float:
    """exp(E KL(p(y|x) || p(y))), between 1 and the number of classes (Salimans et al. 2016).

    The score of the Inception net, with a classifier of the domain. High if each image is clearly of one
    class and all classes come up alike; it sees neither copies nor a lack of variety within a class.
    probabilities: p(y|x), float[records, classes], rows sum to 1
    """
    each = probabilities.astype(np.float64)
    return float(np.exp(rel_entr(each, each.mean(0)).sum(1).mean()))


def sliced_wasserstein(real: Values, synthetic: Values, projections: int = 256, seed: int = 0) -> float:
    """Mean 1-Wasserstein distance of the pixels projected on random directions, 0 is best.

    After Rabin et al. 2011 and Bonneel et al. 2015 with exponent 1: directions are uniform on the unit
    sphere, on each the distance is the mean absolute difference of sorted projections, the result is their
    mean. real, synthetic: [records, ...], uint8 is scaled to [-1, 1], floats are taken as they are. The
    larger side is thinned to the records of the smaller
    """
    count = min(len(real), len(synthetic))
    random = np.random.default_rng(seed)
    directions = random.normal(size=(int(np.prod(real.shape[1:])), projections)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    left, right = (
        np.sort(_projected(_thinned(side, count), directions), axis=0) for side in (real, synthetic)
    )
    return float(np.abs(left - right).mean())


def _projected(values: Values, directions: NDArray[np.float32]) -> NDArray[np.float64]:
    found = []
    for start in range(0, len(values), _AT_ONCE):
        flat = values[start : start + _AT_ONCE].reshape(-1, len(directions)).astype(np.float32)
        found.append((flat / 127.5 - 1 if values.dtype == np.uint8 else flat) @ directions)
    return np.concatenate(found).astype(np.float64)


def prdc(real: Values, synthetic: Values, nearest: int = 5) -> dict[str, float]:
    """Precision, recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    A record's ball reaches to its ``nearest``-th neighbour on its own side. precision: share of synthetic
    records in a real ball; recall: share of real records in a synthetic ball; density: real balls a synthetic
    record lies in, over ``nearest``, around 1 if alike, may exceed it; coverage: share of real balls with a
    synthetic record in them, around 1 - 0.5^nearest at best for fresh records. Borders count as inside.
    real, synthetic: features float[records, features]; of more than 5,000 records a side is thinned
    """
    real, synthetic = (_thinned(side.astype(np.float64), FOR_NEIGHBOURS) for side in (real, synthetic))
    nearest = min(nearest, len(real) - 1, len(synthetic) - 1)
    if nearest < 1:
        raise TooFewRecordsError("neighbours need at least 2 records on each side")
    radii, other_radii = (_radii(side, nearest) for side in (real, synthetic))
    inside = np.zeros(len(synthetic), np.int64)
    covered, recalled, start = 0, 0, 0
    for block in pairwise_distances_chunked(real, synthetic):
        in_real = block <= radii[start : start + len(block), None]
        inside += in_real.sum(0)
        covered += int(in_real.any(1).sum())
        recalled += int((block <= other_radii).any(1).sum())
        start += len(block)
    return {
        "precision": float((inside > 0).mean()),
        "recall": recalled / len(real),
        "density": float(inside.mean() / nearest),
        "coverage": covered / len(real),
    }


def _radii(features: Values, nearest: int) -> NDArray[np.float64]:
    model = NearestNeighbors(n_neighbors=nearest).fit(features)
    return np.asarray(model.kneighbors()[0][:, -1], np.float64)  # without an argument: itself is no neighbour


def _thinned(values: Values, count: int) -> Values:
    """At most ``count`` records, spread evenly over any order."""
    if len(values) <= count:
        return values
    return values[np.linspace(0, len(values) - 1, count).astype(np.int64)]


def recognised(network: Classifier, synthetic: Arrays) -> float:
    """Share of synthetic images that a network trained on real ones gives their own label, in [0, 1]."""
    return classifiers.accuracy(synthetic.labels, classifiers.predict(network, synthetic.values))


def image_scores(
    synthetic: Arrays,
    train: Arrays,
    test: Arrays,
    seed: int = 0,
    *,
    strong: bool = False,
    reference: int = REFERENCE,
) -> dict[str, Any]:
    """All scores of generated images; only where real records may be seen.

    synthetic, train, test: uint8 images of one size, with all classes in ``train``. Classifiers learn from
    20,000 synthetic images, or from as many real ones if ``train`` has them (``records_classifier`` and
    ``records_classifier_real``), and are tested on ``test``; the number of steps is the same for both.
    Distances compare ``train`` with synthetic (``_real``: with ``test``) at one number of records,
    ``records_distances``, at most 10,000, all but sliced_wasserstein in features of the small net trained 2
    epochs on ``train``, each divided by its standard deviation over real training images. Shares of classes
    count: draw ``synthetic`` with those of the training set.
    tstr_over_trtr: macro-F1 learned from synthetic over that learned from real, None if the latter is 0;
    classifier_weights: hash of the network that learned from synthetic (_real: from real) images;
    feature_net: hash of the very feature net; recognised_real: its accuracy on ``test``; strong: the strong
    classifier too; reference: records on which epochs are counted, smaller means quicker
    Raises TooFewRecordsError with fewer than 2 records on a side.
    """
    if min(len(synthetic), len(train), len(test)) < 2:
        raise TooFewRecordsError("scores need at least 2 synthetic, 2 training and 2 test images")
    synthetic, real = drawn(synthetic, FOR_CLASSIFIER, seed), drawn(train, FOR_CLASSIFIER, seed)
    real = real.take(np.arange(min(len(real), len(synthetic))))
    result = {
        **_learned(classifiers.small_cnn, SMALL_EPOCHS, (synthetic, real, test), seed, reference),
        **_compared(synthetic, train, test, seed, reference),
        "records_classifier": len(synthetic),
        "records_classifier_real": len(real),
    }
    if strong:
        best = _learned(classifiers.strong_cnn, STRONG_EPOCHS, (synthetic, real, test), seed, reference)
        for name in ("accuracy", "classifier_weights"):
            result |= {f"{name}_strong{ending}": best[f"{name}{ending}"] for ending in ("", "_real")}
        result["classifier_strong"] = best["classifier"]
    return result


def drawn(records: Arrays, count: int, seed: int) -> Arrays:
    """At most ``count`` records, drawn without replacement."""
    return records.take(np.random.default_rng(seed).permutation(len(records))[:count])


def _new_net(make: Callable[..., Classifier], records: list[Arrays], seed: int) -> Classifier:
    classes = 1 + max(int(side.labels.max()) for side in records)
    return make(records[0].values.shape[1:], classes, seed)


def _learned(
    make: Callable[..., Classifier],
    epochs: int,
    sides: tuple[Arrays, Arrays, Arrays],
    seed: int,
    reference: int,
) -> dict[str, Any]:
    synthetic, real, test = sides
    found: dict[str, Any] = {}
    for ending, records in (("", synthetic), ("_real", real)):
        network = _new_net(make, list(sides), seed)
        rounds = classifiers.epochs_for(len(records), epochs, reference)
        said = classifiers.predict(
            classifiers.fit(network, records.values, records.labels, rounds, seed), test.values
        )
        found[f"accuracy{ending}"] = classifiers.accuracy(test.labels, said)
        found[f"macro_f1{ending}"] = classifiers.macro_f1(test.labels, said)
        found["classifier"] = network.name
        found[f"classifier_weights{ending}"] = classifiers.weights_hash(network)
    below = found["macro_f1_real"]
    found["tstr_over_trtr"] = found["macro_f1"] / below if below else None
    return found


def _compared(synthetic: Arrays, train: Arrays, test: Arrays, seed: int, reference: int) -> dict[str, Any]:
    network = _new_net(classifiers.small_cnn, [train, test, synthetic], seed)
    rounds = classifiers.epochs_for(len(train), FEATURE_EPOCHS, reference)
    classifiers.fit(network, train.values, train.labels, rounds, seed)
    count = min(FOR_DISTANCES, len(synthetic), len(train), len(test))
    real = drawn(train, count, seed)
    features = classifiers.penultimate(network, real.values)
    spread = features.std(0)
    spread[spread == 0] = 1.0
    found: dict[str, Any] = {"feature_net": classifiers.weights_hash(network), "records_distances": count}
    for ending, side in (("", drawn(synthetic, count, seed)), ("_real", drawn(test, count, seed))):
        other = classifiers.penultimate(network, side.values) / spread
        kernel = kernel_distance(features / spread, other)
        scores = {
            "domain_fid": domain_fid(features / spread, other),
            "kid": kernel.value,
            "kid_low": kernel.low,
            "kid_high": kernel.high,
            "inception_like": inception_like(classifiers.probabilities(network, side.values)),
            "sliced_wasserstein": sliced_wasserstein(real.values, side.values, seed=seed),
            **prdc(features / spread, other),
            "recognised": recognised(network, side),
        }
        found |= {f"{name}{ending}": value for name, value in scores.items()}
    return found
