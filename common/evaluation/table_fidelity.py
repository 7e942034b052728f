"""Fidelity of a synthetic table as figures: marginals, association, and a classifier two-sample test."""

from __future__ import annotations

import numpy as np

from ..modalities.tabular import Codes
from ..schema import TableSchema
from .families import told_apart
from .figures import Figure
from .intervals import auc_interval
from .marginals import Distance, association, total_variation

_COLUMNS = {1: "one column", 2: "two columns", 3: "three columns"}
_SEED = 20_240_607


def table_fidelity(
    training: Codes,
    holdout: Codes,
    synthetic: Codes,
    schema: TableSchema,
    one_each: tuple[Codes, Codes] | None = None,
) -> tuple[Figure, ...]:
    """Synthetic against held-out records; the reference is as many training records against the same.

    one_each: training and held-out records of which no two are of one subject, for the two-sample test: what
    is learnt of a subject would tell its other records
    """
    count = min(len(training), len(synthetic))
    random = np.random.default_rng(_SEED)
    made, real = (side[random.permutation(len(side))[:count]] for side in (synthetic, training))
    sizes = schema.sizes
    figures = [
        _marginal(
            order, total_variation(made, holdout, sizes, order), total_variation(real, holdout, sizes, order)
        )
        for order in (1, 2, 3)
        if order <= len(sizes)
    ]
    found, best = (association(side, holdout, sizes) for side in (made, real))
    figures.append(
        Figure(
            name="association",
            title="Difference in how columns hang together",
            value=found.value,
            low=found.low,
            high=found.high,
            reference=best.value,
            better="lower",
            source="records",
            how=f"Mean absolute difference of Cramér's V, {_of(found)} pairs. Interval: jackknife.",
        )
    )
    alone, held = one_each or (real, holdout)
    return (*figures, _told_apart(made, alone, held))


def _of(found: Distance) -> str:
    return (
        f"all {found.possible}"
        if found.marginals == found.possible
        else f"{found.marginals} of {found.possible}, chosen at random with a public seed,"
    )


def _marginal(order: int, found: Distance, best: Distance) -> Figure:
    return Figure(
        name=f"tvd{order}",
        title=f"Total variation distance, {_COLUMNS[order]} at a time",
        value=found.value,
        low=found.low,
        high=found.high,
        reference=best.value,
        better="lower",
        source="records",
        how=f"Half the sum of differences of shares on the schema's finest codes, mean over {_of(found)} "
        "marginals. Interval: delta method over records.",
    )


def _told_apart(made: Codes, real: Codes, holdout: Codes) -> Figure:
    value, low, high = auc_interval(*told_apart(made, holdout))
    return Figure(
        name="c2st",
        title="How well a classifier tells synthetic from held-out records",
        value=value,
        low=low,
        high=high,
        reference=auc_interval(*told_apart(real, holdout))[0],
        better="lower",
        source="records",
        how="AUC of gradient boosting in cross-validation (Lopez-Paz and Oquab 2017), 0.5 if alike. "
        "Interval: DeLong et al. 1988.",
    )
