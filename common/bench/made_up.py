"""A run that nobody makes: records, states and moments of the right shapes, to see what its steps cost."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np

from ..contributions import array_features, family_of, layout_of, pairs
from ..modalities.grouping import Grouping
from ..modalities.layout import Layout
from ..models.pair import Pair, to_vector
from ..phases import EveryStep
from ..plan import COUNT_STEP, EVALUATE_STEP, MEASURE_STEP, Plan, train_step
from ..rehearsal import synthetic_rows
from ..schema import Schema, TableSchema
from ..states import ArrayRoundState, EvaluateState, MeasureState, RoundState, StepState


def made_up_states(plan: Plan, schema: Schema) -> dict[str, bytes]:
    """One step of each kind, and a state it could start from."""
    found = _table_states(plan, schema) if isinstance(schema, TableSchema) else _array_states(plan, schema)
    if (evaluate := plan.release.evaluate) is not None:
        judge = _judge(plan, schema) if plan.rounds else None
        rows = synthetic_rows(schema, evaluate.records)
        found[EVALUATE_STEP] = EvaluateState(rows=rows, judge=judge).to_bytes()
    return found


def _judge(plan: Plan, schema: Schema) -> StepState:
    grouping = some_grouping(schema) if isinstance(schema, TableSchema) else None
    return StepState(grouping=grouping, entered=to_vector(family_of(schema, plan).entered))


def _array_states(plan: Plan, schema: Schema) -> dict[str, bytes]:
    states = {MEASURE_STEP: b""}
    if isinstance(plan.train, EveryStep):
        entered = to_vector(family_of(schema, plan).entered)
        states[train_step(1)] = StepState(grouping=None, entered=entered).to_bytes()
    elif plan.train:
        features = array_features(schema, plan)
        states[train_step(1)] = ArrayRoundState(
            parameters=Pair.new(features.layout, plan.model, plan.seed).to_vector(),
            total=np.ones(features.count),
            prior=np.full(features.classes, 1 / features.classes),
        ).to_bytes()
    return states


def _table_states(plan: Plan, schema: TableSchema) -> dict[str, bytes]:
    layout, phi, grouping = Layout.of(schema), pairs(schema, plan), some_grouping(schema)
    states = {COUNT_STEP: b"", MEASURE_STEP: MeasureState(grouping=grouping).to_bytes()}
    pair = Pair.new(layout, plan.model, plan.seed)
    combinations = int(np.prod(layout.conditions))
    if isinstance(plan.train, EveryStep):
        entered = to_vector(pair.discriminator)
        states[train_step(1)] = StepState(grouping=grouping, entered=entered).to_bytes()
    elif plan.train:
        states[train_step(1)] = RoundState(
            grouping=grouping,
            parameters=pair.to_vector(),
            singles=np.zeros((phi.classes, len(phi.owner))),
            pairs=np.zeros((phi.classes, len(phi.owner), len(phi.owner))),
            single_precision=np.ones((phi.classes, len(phi.owner))),
            noise=1.0,
            prior=np.full(combinations, 1 / combinations),
        ).to_bytes()
    return states


def some_grouping(schema: TableSchema) -> Grouping:
    """That of a table in which every code occurs as often."""
    counts = [np.ones(size) for size in schema.sizes]
    return Grouping.from_counts(counts, np.ones(len(counts)), 1.0, schema)


def fit_steps(plan: Plan, schema: Schema, steps: int) -> Callable[[], object]:
    """A few steps of the coordinator's fit on made-up moments."""
    short = plan.measure.model_copy(update={"fit_steps": steps})
    generator = Pair.new(layout_of(schema), plan.model, plan.seed).generator
    if isinstance(schema, TableSchema):
        phi, moments = pairs(schema, plan), import_module("server.moments")
        ones = np.ones(sum(schema.sizes))
        singles = moments.one_way(ones, 1.0, some_grouping(schema), schema, phi)
        estimated = moments.estimate(np.ones(phi.count), phi, 1.0, singles)
        fit = import_module("server.fit").fit
        return lambda: fit(generator, estimated, phi, short, 0.0)
    features = array_features(schema, plan)
    fit_arrays = import_module("server.array_fit").fit
    return lambda: fit_arrays(generator, np.ones(features.count), features, short, 0.0, plan.seed)
