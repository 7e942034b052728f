"""Utility of a synthetic table as figures: classifiers trained on it and on real records, both tested on
held-out ones; overall, in subgroups, and how evenly they treat these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..modalities.tabular import Codes
from ..release_terms import Task
from ..schema import TableSchema
from .families import FAMILIES, Scores, learnt
from .figures import Figure
from .intervals import absolute, auc_interval, newcombe
from .task import check_task

LEAST = 30
"""Held-out records of a subgroup, and of each class in it, below which nothing is said of it."""

_SEED = 20_240_611  # none that anybody draws records with: it would put evenly drawn ones in order again
_NAMES = {"boosting": "gradient boosting", "logistic": "logistic regression", "trees": "randomised trees"}


@dataclass(frozen=True, slots=True)
class Tested:
    """Of held-out records: the truth, and what each family says that learnt from synthetic and real ones."""

    truth: NDArray[np.bool_]
    synthetic: dict[str, Scores]
    real: dict[str, Scores]


def said_of_holdout(
    training: Codes, holdout: Codes, synthetic: Codes, schema: TableSchema, task: Task
) -> Tested:
    """Three families, trained twice each on as many records. Raises ConfigError if the task does not fit."""
    target, inputs, positive = check_task(schema, task)
    count, random = min(len(training), len(synthetic)), np.random.default_rng(_SEED)
    sizes, said = [schema.sizes[i] for i in inputs], []
    for side in (synthetic, training):
        rows = side[random.permutation(len(side))[:count]]
        labels = positive[rows[:, target]]
        said.append({f: learnt(f, rows[:, inputs], labels, holdout[:, inputs], sizes) for f in FAMILIES})
    return Tested(positive[holdout[:, target]], *said)


def utility(found: Tested) -> tuple[Figure, ...]:
    """An AUC for each family, beside that of training on real records; none if the truth has one class."""
    everybody = np.ones(len(found.truth), bool)
    return tuple(figure for family in FAMILIES for figure in _auc(found, family, everybody, "", ""))


def subgroups(found: Tested, holdout: Codes, schema: TableSchema) -> tuple[Figure, ...]:
    """For each value of each condition: AUC, and gaps in found positives and in said positives to all others.

    Groups of fewer than 30 held-out records, or 30 of a class where that counts, are left out.
    """
    figures: list[Figure] = []
    for position, column in enumerate(schema.columns):
        for code, value in enumerate(column.categories if column in schema.conditions else ()):
            inside = holdout[:, position] == code
            ending, words = f"/{column.name}={value}", f", {column.name} = {value}"
            figures += _auc(found, "boosting", inside, ending, words)
            figures += _gap(found, inside, found.truth, "tpr_gap", ending, words)
            figures += _gap(found, inside, np.ones(len(inside), bool), "parity", ending, words)
    return tuple(figures)


def _auc(found: Tested, family: str, rows: NDArray[np.bool_], ending: str, words: str) -> list[Figure]:
    truth = found.truth[rows]
    if min(truth.sum(), (~truth).sum()) < (LEAST if ending else 1):
        return []
    (value, low, high), (reference, _, _) = (
        auc_interval(said[family][rows][truth], said[family][rows][~truth])
        for said in (found.synthetic, found.real)
    )
    return [
        Figure(
            name=f"auc.{family}{ending}",
            title=f"Trained on synthetic, tested on held-out records: {_NAMES[family]}{words}",
            value=value,
            low=low,
            high=high,
            reference=reference,
            better="higher",
            source="records",
            how="AUC; the reference learnt from as many real training records. Interval: DeLong et al. 1988, "
            f"over {len(truth)} held-out records.",
        )
    ]


_GAPS = {
    "tpr_gap": ("Gap in true positives found", "Equal opportunity (Hardt et al. 2016)"),
    "parity": ("Gap in positives said", "Statistical parity"),
}


def _gap(
    found: Tested, inside: NDArray[np.bool_], among: NDArray[np.bool_], name: str, ending: str, words: str
) -> list[Figure]:
    """Between a group and all others, of boosting that says positive as often as positives occur."""
    if min((inside & among).sum(), (~inside & among).sum()) < LEAST:
        return []
    sizes, ends = [], []
    for said in (found.synthetic, found.real):
        scores = said["boosting"]
        positive = scores > np.quantile(scores, 1 - found.truth.mean())
        hits, tries = (positive & inside & among).sum(), (inside & among).sum()
        others, rest = (positive & ~inside & among).sum(), (~inside & among).sum()
        sizes.append(abs(float(hits / tries - others / rest)))
        ends.append(absolute(*newcombe(hits, tries, others, rest)))
    title, how = _GAPS[name]
    return [
        Figure(
            name=f"{name}.boosting{ending}",
            title=f"{title}{words} against all others",
            value=sizes[0],
            low=ends[0][0],
            high=ends[0][1],
            reference=sizes[1],
            better="lower",
            source="records",
            how=f"{how}: absolute difference of shares; the reference learnt from real records. As many are "
            "said to be positive as are. Interval: Newcombe 1998.",
        )
    ]
