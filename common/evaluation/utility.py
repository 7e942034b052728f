"""Train on synthetic, test on real: is a model built on the release as good as one built on records?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from ..config import Evaluation
from ..errors import ConfigError
from ..modalities.tabular import Codes
from ..schema import CategoryColumn, Schema


def auc(train: Codes, test: Codes, schema: Schema, task: Evaluation) -> float:
    """AUC on ``test`` of gradient boosting fitted to ``train``; 0.5 if ``train`` has one class only."""
    target, positive = _positive(schema, task)
    inputs = [i for i, name in enumerate(schema.names) if name not in {task.target, *task.exclude}]
    labels = positive[train[:, target]]
    if labels.all() or not labels.any():
        return 0.5
    model = HistGradientBoostingClassifier(max_iter=100, random_state=0)
    model.fit(train[:, inputs], labels)
    scores = model.predict_proba(test[:, inputs])[:, 1]
    return float(roc_auc_score(positive[test[:, target]], scores))


def _positive(schema: Schema, task: Evaluation) -> tuple[int, NDArray[np.bool_]]:
    """The target's position, and which of its codes are positive."""
    unknown = sorted({task.target, *task.exclude} - set(schema.names))
    if unknown:
        raise ConfigError(f"evaluation: the schema has no column {unknown[0]!r}")
    position = schema.names.index(task.target)
    column = schema.columns[position]
    flags = np.zeros(column.size, bool)
    if isinstance(column, CategoryColumn):
        values = [str(value) for value in column.categories]
        if task.equals not in values:
            raise ConfigError(
                f"evaluation: {column.name} has no value {task.equals!r}",
                hint="allowed values: " + ", ".join(values),
            )
        flags[values.index(task.equals)] = True
    else:
        if task.above is None:
            raise ConfigError(f"evaluation: {column.name} is a number, give 'above'")
        starts = np.array([*column.atoms, column.bounds[0], *column.cuts])
        flags[: len(starts)] = starts > task.above
    return position, flags
