"""Everything that is measured of a release on the records of one place, a site or a simulation.

What comes out tells about real records: it stays where they are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..arrays import Arrays
from ..modalities.tabular import Codes
from ..release_terms import GateTerms, Task
from ..schema import ArraySchema, Schema, TableSchema
from . import anonymity
from .coverage import coverage
from .figures import Evaluation
from .gate import Scores, Subjects, gate
from .space import Records
from .table_fidelity import table_fidelity
from .table_utility import said_of_holdout, subgroups, utility

_SEED = 20_240_610

Attacker = Callable[[Codes, Codes, Codes, TableSchema], tuple[anonymity.Attack, ...] | str]


def evaluate(
    training: Records,
    holdout: Records,
    synthetic: Records,
    schema: Schema,
    task: Task | None,
    terms: GateTerms,
    *,
    subjects: tuple[Subjects, Subjects] | None = None,
    discriminator_scores: tuple[Scores, Scores] | None = None,
    attacker: Attacker = anonymity.attacks,
    seed: int = 0,
) -> Evaluation:
    """Fidelity, utility, subgroups, coverage and the gate.

    training, holdout, synthetic: codes int64[records, columns], or Arrays; task: of tables, None for no
    utility subjects, discriminator_scores: as of ``gate``; attacker: runs anonymeter, or says why not; seed:
    of the networks that judge images Raises TooFewRecordsError, or ConfigError if the task does not fit the
    schema.
    """
    with threadpool_limits(1, "openmp"):  # trees of a few thousand records: threads would wait for each other
        return _evaluated(
            training, holdout, synthetic, schema, task, terms, subjects, discriminator_scores, attacker, seed
        )


def _evaluated(
    training: Records,
    holdout: Records,
    synthetic: Records,
    schema: Schema,
    task: Task | None,
    terms: GateTerms,
    subjects: tuple[Subjects, Subjects] | None,
    discriminator_scores: tuple[Scores, Scores] | None,
    attacker: Attacker,
    seed: int,
) -> Evaluation:
    records = {"training": len(training), "held_out": len(holdout), "synthetic": len(synthetic)}
    told: tuple[anonymity.Attack, ...] | str = "it attacks tables"
    if isinstance(schema, TableSchema):
        assert isinstance(training, np.ndarray)
        assert isinstance(holdout, np.ndarray)
        assert isinstance(synthetic, np.ndarray)
        known = said_of_holdout(training, holdout, synthetic, schema, task) if task else None
        learnt = utility(known) if known else ()
        groups = subgroups(known, holdout, schema) if known else ()
        first, second = (
            (training, holdout)
            if subjects is None
            else (_one_each(training, subjects[0]), _one_each(holdout, subjects[1]))
        )
        fidelity = table_fidelity(training, holdout, synthetic, schema, (first, second))
        told = attacker(first, second, synthetic, schema)
    else:
        from .array_figures import array_figures

        assert isinstance(schema, ArraySchema)
        assert isinstance(training, Arrays)
        assert isinstance(holdout, Arrays)
        assert isinstance(synthetic, Arrays)
        fidelity, learnt = array_figures(training, holdout, synthetic, schema, seed)
        groups = ()
    return Evaluation(
        shareable=False,
        fidelity=fidelity,
        utility=learnt,
        subgroups=groups,
        coverage=coverage(training, holdout, synthetic, schema),
        gate=gate(
            training,
            holdout,
            synthetic,
            schema,
            terms,
            subjects=subjects,
            discriminator_scores=discriminator_scores,
            anonymity=told,
        ),
        records=records,
    )


def _one_each(records: Codes, subjects: NDArray[np.generic]) -> Codes:
    """One record of each subject, at random: attempts on them are independent."""
    order = np.random.default_rng(_SEED).permutation(len(records))
    _, first = np.unique(subjects[order], return_index=True)
    return records[order[first]]
