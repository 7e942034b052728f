"""Scores of a synthetic table that do not depend on its schema: the same codes for every system.

Numeric columns are cut at 20 quantiles of the real training table, a missing value is a code of its own,
everything else is a category. Distances are to the training table, classifiers are tested on the test table.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import OneHotEncoder

Codes = NDArray[np.int64]
QUANTILES = 20
"""Bins of a numeric column, of about equal mass."""

_BOOSTING_ROUNDS = 150


class Coder:
    """Integer codes of tables with the columns of ``train``, the label last.

    sizes: codes of each column
    """

    def __init__(self, train: pd.DataFrame, others: list[pd.DataFrame], label: str) -> None:
        self.names = [name for name in train.columns if name != label] + [label]
        self._cuts: dict[str, NDArray[np.float64]] = {}
        self._values: dict[str, dict[str, int]] = {}
        for name in self.names:
            if pd.api.types.is_numeric_dtype(train[name]) and name != label:
                inner = np.linspace(0, 1, QUANTILES + 1)[1:-1]
                self._cuts[name] = np.unique(np.quantile(train[name].dropna(), inner))
            else:
                found = set().union(*(_text(table[name]) for table in (train, *others)))
                self._values[name] = {value: code for code, value in enumerate(sorted(found))}
        self.sizes = [
            len(self._cuts[name]) + 2 if name in self._cuts else len(self._values[name])
            for name in self.names
        ]

    def __call__(self, table: pd.DataFrame) -> Codes:
        """int64[records, columns]."""
        return np.stack([self._column(table[name], name) for name in self.names], axis=1)

    def values(self, name: str) -> list[str]:
        """What each code of a column that is not numeric stands for."""
        return list(self._values[name])

    def _column(self, column: pd.Series, name: str) -> Codes:
        if name not in self._cuts:
            return np.asarray(_text(column).map(self._values[name]), np.int64)
        cuts = self._cuts[name]
        codes = np.searchsorted(cuts, column.fillna(0).to_numpy(np.float64), side="right")
        return np.where(column.isna(), len(cuts) + 1, codes).astype(np.int64)


def _text(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "NA").astype(str).str.strip()


def tvd(left: Codes, right: Codes, sizes: list[int], order: int) -> float:
    """Mean total variation distance over all marginals of ``order`` columns, in [0, 1]."""
    found = []
    for columns in combinations(range(len(sizes)), order):
        shape = [sizes[c] for c in columns]
        counts = [
            np.bincount(
                np.ravel_multi_index(tuple(codes[:, c] for c in columns), shape),
                minlength=int(np.prod(shape)),
            )
            / len(codes)
            for codes in (left, right)
        ]
        found.append(np.abs(counts[0] - counts[1]).sum() / 2)
    return float(np.mean(found))


def scores(
    train: Codes,
    test: Codes,
    synthetic: Codes,
    sizes: list[int],
    positive: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """tvd1, tvd2, tvd3 to ``train``; auc_boosting, auc_logistic on ``test``; c2st against ``test``.

    positive: which codes of the label classifiers are asked for, bool[codes]; the last one if None
    c2st: AUC with which boosting tells synthetic from real records in cross-validation; 0.5 is best
    """
    asked = np.arange(sizes[-1]) == sizes[-1] - 1 if positive is None else positive
    return {
        **{f"tvd{order}": round(tvd(train, synthetic, sizes, order), 5) for order in (1, 2, 3)},
        **_utility(synthetic, test, sizes, asked),
        "c2st": round(_told_apart(synthetic, test), 4),
    }


def _utility(
    synthetic: Codes, test: Codes, sizes: list[int], positive: NDArray[np.bool_]
) -> dict[str, float]:
    inputs, labels, truth = synthetic[:, :-1], positive[synthetic[:, -1]], positive[test[:, -1]]
    if labels.all() or not labels.any():
        return {"auc_boosting": 0.5, "auc_logistic": 0.5}
    boosting = HistGradientBoostingClassifier(max_iter=_BOOSTING_ROUNDS, random_state=0).fit(inputs, labels)
    one_hot = OneHotEncoder(categories=[np.arange(size) for size in sizes[:-1]])
    logistic = LogisticRegression(max_iter=200).fit(one_hot.fit_transform(inputs), labels)
    guesses = {
        "auc_boosting": boosting.predict_proba(test[:, :-1]),
        "auc_logistic": logistic.predict_proba(one_hot.transform(test[:, :-1])),
    }
    return {name: round(float(roc_auc_score(truth, p[:, 1])), 4) for name, p in guesses.items()}


def _told_apart(synthetic: Codes, test: Codes) -> float:
    count = min(len(synthetic), len(test))
    both = np.concatenate([synthetic[:count], test[:count]])
    truth = np.repeat([1, 0], count)
    # a stream of its own: one of a seed that records were drawn with would put them in order again
    shuffled = np.random.default_rng([0, 1]).permutation(len(both))
    model = HistGradientBoostingClassifier(max_iter=_BOOSTING_ROUNDS, random_state=0)
    guesses = cross_val_predict(model, both[shuffled], truth[shuffled], cv=3, method="predict_proba")
    return float(roc_auc_score(truth[shuffled], guesses[:, 1]))


def shuffled_columns(codes: Codes) -> Codes:
    """The same columns without any dependence: what a system must beat."""
    random = np.random.default_rng(0)
    return np.stack([random.permutation(column) for column in codes.T], axis=1)
