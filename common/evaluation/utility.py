"""Train on synthetic, test on real: is a model built on the release as good as one built on records?"""

from __future__ import annotations

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from ..modalities.tabular import Codes
from ..release_terms import Task
from ..schema import TableSchema
from .task import check_task


def auc(train: Codes, test: Codes, schema: TableSchema, task: Task) -> float | None:
    """AUC on ``test`` of gradient boosting fitted to ``train``.

    0.5 if ``train`` has one class only, None if ``test`` has: then it is not defined.
    """
    target, inputs, positive = check_task(schema, task)
    labels, truth = positive[train[:, target]], positive[test[:, target]]
    if truth.all() or not truth.any():
        return None
    if labels.all() or not labels.any():
        return 0.5
    model = HistGradientBoostingClassifier(max_iter=100, random_state=0)
    model.fit(train[:, inputs], labels)
    scores = model.predict_proba(test[:, inputs])[:, 1]
    return float(roc_auc_score(truth, scores))
