"""Scores of generated signals against real ones: what classifiers learn of them, and how far they are apart.

Everything here looks at real records: only for where they may be seen. Nothing of it is part of a release.
Each score has a twin, ``_real``, in which real signals take the place of the generated ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Arrays
from ..schema import SignalSchema
from .image_scores import FOR_DISTANCES, domain_fid, drawn, inception_like, prdc, sliced_wasserstein
from .signal_features import features
from .signal_views import trees, tstr


def signal_scores(
    synthetic: Arrays, train: Arrays, test: Arrays, schema: SignalSchema, seed: int = 0
) -> dict[str, Any]:
    """All scores of generated signals; only where real records may be seen.

    Classifiers learn from ``synthetic`` (``_real``: ``train``) and are tested on ``test``. Distances compare
    ``train`` with synthetic (``_real``: with ``test``) at one number of records, at most 10,000, in the plain
    features of ``signal_features``, each divided by its standard deviation over real training signals;
    sliced_wasserstein in the samples themselves. inception_like, recognised: by trees that learned from
    ``train``.
    Raises TooFewRecordsError with fewer than 2 records on a side.
    """
    found = tstr(synthetic, train, test)
    best = found["trees"]
    return {
        "classifier": "extra-trees-100",
        "classifier_weights": best["synthetic_weights"],
        "classifier_weights_real": best["real_weights"],
        "accuracy": best["synthetic_accuracy"],
        "accuracy_real": best["real_accuracy"],
        "macro_f1": best["synthetic_macro_f1"],
        "macro_f1_real": best["real_macro_f1"],
        "tstr_over_trtr": best["ratio"],
        "logistic": found["logistic"],
        **_compared(synthetic, train, test, schema, seed),
    }


def _compared(
    synthetic: Arrays, train: Arrays, test: Arrays, schema: SignalSchema, seed: int
) -> dict[str, Any]:
    count = min(FOR_DISTANCES, len(synthetic), len(train), len(test))
    real = drawn(train, count, seed)
    own = features(real.values, schema.sampling_rate)
    spread = own.std(0)
    spread[spread == 0] = 1.0
    judge = trees().fit(_flat(train), train.labels)
    found: dict[str, Any] = {"feature_net": "signal-features", "records_distances": count}
    for ending, side in (("", drawn(synthetic, count, seed)), ("_real", drawn(test, count, seed))):
        other = features(side.values, schema.sampling_rate) / spread
        chances = judge.predict_proba(_flat(side))
        scores = {
            "domain_fid": domain_fid(own / spread, other),
            "inception_like": inception_like(chances),
            "sliced_wasserstein": sliced_wasserstein(real.values, side.values, seed=seed),
            **prdc(own / spread, other),
            "recognised": float((judge.classes_[chances.argmax(1)] == side.labels).mean()),
        }
        found |= {f"{name}{ending}": value for name, value in scores.items()}
    return found


def _flat(records: Arrays) -> NDArray[np.floating]:
    return records.values.reshape(len(records), -1)
