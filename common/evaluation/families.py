"""Classifiers of a table's records, in several families, and whether one tells two tables apart."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from ..modalities.tabular import Codes

FAMILIES = ("boosting", "logistic", "trees")
"""Gradient boosting, logistic regression on one-hot codes, extremely randomised trees."""

_ROUNDS, _TREES, _SPLITS = 100, 100, 3
_MOST = 5000  # records of each side that a two-sample test looks at
_SEED = 20_240_606

Scores = NDArray[np.float64]


def classifier(family: str, sizes: list[int]) -> Any:
    """One that is not fitted. sizes: codes of each input."""
    if family == "boosting":
        return HistGradientBoostingClassifier(max_iter=_ROUNDS, random_state=0)
    if family == "trees":
        return ExtraTreesClassifier(_TREES, min_samples_leaf=5, random_state=0)
    one_hot = OneHotEncoder(categories=[np.arange(size) for size in sizes])
    return make_pipeline(one_hot, LogisticRegression(max_iter=200))


def learnt(family: str, inputs: Codes, labels: NDArray[np.bool_], test: Codes, sizes: list[int]) -> Scores:
    """Probabilities of ``test`` by a classifier of ``inputs``: float64[records]; with one class its share."""
    if labels.all() or not labels.any():
        return np.full(len(test), float(labels.mean()))
    model = classifier(family, sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # short training is the same for all sides
        model.fit(inputs, labels)
    return np.asarray(model.predict_proba(test)[:, 1], np.float64)


def told_apart(left: Codes, right: Codes) -> tuple[Scores, Scores]:
    """How likely each record is of ``left``, said by boosting that was not fitted to it (cross-validation).

    The classifier two-sample test of Lopez-Paz and Oquab 2017. As many of both sides, 5,000 at most.
    """
    random, count = np.random.default_rng(_SEED), min(len(left), len(right), _MOST)
    both = np.concatenate([side[random.permutation(len(side))[:count]] for side in (left, right)])
    truth = np.repeat([True, False], count)
    order = random.permutation(2 * count)
    model = HistGradientBoostingClassifier(max_iter=_ROUNDS, random_state=0)
    said = cross_val_predict(model, both[order], truth[order], cv=_SPLITS, method="predict_proba")[:, 1]
    return said[truth[order]], said[~truth[order]]
