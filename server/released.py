"""A table's released sums as grouping and moments: what later phases and the release start from."""

from __future__ import annotations

from common.contributions import histograms, pairs
from common.modalities.grouping import Grouping
from common.plan import Plan
from common.schema import Schema, TableSchema

from .checkpoint import Checkpoint
from .moments import Moments, estimate, one_way


def released_grouping(plan: Plan, schema: Schema, state: Checkpoint) -> Grouping:
    """How codes are grouped in a run whose count step is open."""
    assert state.counts is not None
    assert plan.count is not None
    assert isinstance(schema, TableSchema)
    phi = histograms(schema)
    deviations = phi.deviations(plan.count.noise_multiplier)
    spread = plan.measure.noise_multiplier / pairs(schema, plan).typical
    return Grouping.from_counts(phi.counts(state.counts), deviations, spread, schema)


def released_moments(plan: Plan, schema: Schema, state: Checkpoint) -> Moments:
    """The moments of a run whose measure step is open."""
    assert state.moments is not None
    assert state.counts is not None
    assert plan.count is not None
    assert isinstance(schema, TableSchema)
    phi, grouping = pairs(schema, plan), released_grouping(plan, schema, state)
    singles = one_way(state.counts, plan.count.noise_multiplier, grouping, schema, phi)
    return estimate(state.moments, phi, plan.measure.noise_multiplier, singles)
