"""What a model learnt from synthetic records says of other records: the task of the evaluation, at a site.

Learning from released records costs no privacy; what is learnt of real ones leaves only as noisy counts.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from ..modalities.array_layout import ArrayLayout
from ..modalities.tabular import Codes
from ..release_terms import Task
from ..schema import ArraySchema, TableSchema
from .space import ArraySpace
from .task import check_task

_ROUNDS, _TREES = 60, 60
_MOST = 10_000  # synthetic records that a model learns from


def task_scores(synthetic: Codes, records: Codes, schema: TableSchema, task: Task) -> NDArray[np.float64]:
    """The log-odds of the positive class that gradient boosting gives to records: float64[records].

    0 for all where the synthetic records have one class only. A sum over trees in their order, so that the
    score of a record does not depend on the others in the least bit.
    """
    _, inputs, _ = check_task(schema, task)
    model = _boosting(_Held(synthetic[:_MOST], hashlib.sha256(synthetic.tobytes()).digest()), schema, task)
    if model is None or not len(records):
        return np.zeros(len(records))
    with threadpool_limits(1, "openmp"):
        return np.asarray(model.decision_function(records[:, inputs]), np.float64)


def predicted_classes(
    synthetic: NDArray[Any], records: NDArray[Any], schema: ArraySchema
) -> NDArray[np.int64]:
    """The class that extremely randomised trees on low frequencies give to each record: int64[records].

    synthetic, records: rows as ``ArrayLayout`` makes them
    """
    layout = ArrayLayout.of(schema)
    if not len(records):
        return np.zeros(0, np.int64)
    model = _trees(_Held(synthetic[:_MOST], hashlib.sha256(synthetic.tobytes()).digest()), layout)
    said = np.concatenate(
        [
            model.predict(_frequencies(part, layout))
            for part in np.array_split(records, len(records) // 4096 + 1)
        ]
    )
    return np.asarray(said, np.int64)


class _Held:
    """Rows that are told apart by their hash, so that sites of one process learn from them once."""

    def __init__(self, rows: NDArray[Any], digest: bytes) -> None:
        self.rows, self.digest = rows, digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=1)
def _boosting(synthetic: _Held, schema: TableSchema, task: Task) -> HistGradientBoostingClassifier | None:
    target, inputs, positive = check_task(schema, task)
    labels = positive[synthetic.rows[:, target]]
    if labels.all() or not labels.any():
        return None
    model = HistGradientBoostingClassifier(max_iter=_ROUNDS, random_state=0)
    with threadpool_limits(1, "openmp"):  # of sites in one process, or on two cores: threads would only wait
        return model.fit(synthetic.rows[:, inputs], labels)


@lru_cache(maxsize=1)
def _trees(synthetic: _Held, layout: ArrayLayout) -> ExtraTreesClassifier:
    model = ExtraTreesClassifier(_TREES, class_weight="balanced", random_state=0)
    return model.fit(_frequencies(synthetic.rows, layout), layout.labels(synthetic.rows))


def _frequencies(rows: NDArray[Any], layout: ArrayLayout) -> NDArray[np.float32]:
    """Whole numbers, of each record by itself."""
    return ArraySpace(layout).embed(layout.to_arrays(rows))
