"""A table's released sums as grouping and moments: what later phases and the release start from."""

from __future__ import annotations

from common.contributions import histograms, pairs
from common.earlier import Noise, own_noise, sum_noise
from common.modalities.grouping import Grouping
from common.plan import Plan
from common.schema import Schema, TableSchema

from .checkpoint import Checkpoint
from .continued import Array, Sums, earlier_sums, pooled
from .moments import Moments, estimate, one_way


def released_grouping(plan: Plan, schema: Schema, state: Checkpoint) -> Grouping:
    """How codes are grouped in a run whose count step is open; as in the run it continues, if any."""
    before = earlier_sums(plan, schema, state)
    if before is not None and before.grouping is not None:
        return before.grouping
    assert state.counts is not None
    assert isinstance(schema, TableSchema)
    phi = histograms(schema)
    count_noise, _ = own_noise(plan, state.counted_by)
    assert count_noise is not None
    deviations = phi.deviations(count_noise)
    spread = plan.measure.noise_multiplier / pairs(schema, plan).typical
    return Grouping.from_counts(phi.counts(state.counts), deviations, spread, schema)


def released_moments(plan: Plan, schema: Schema, state: Checkpoint) -> Moments:
    """The moments of a run whose measure step is open, and of those it continues."""
    moments, counts = pooled(plan, schema, state)
    return _moments(plan, schema, state, moments, counts, released_noise(plan, state))


def own_moments(plan: Plan, schema: Schema, state: Checkpoint) -> Moments:
    """The same of this run's records alone."""
    assert state.moments is not None
    noise = own_noise(plan, state.counted_by, state.measured_by)
    return _moments(plan, schema, state, state.moments, state.counts, noise)


def released_noise(plan: Plan, state: Checkpoint) -> Noise:
    """In the sums of a run and of those it continues."""
    return sum_noise(plan, state.counted_by, state.measured_by)


def released_sums(plan: Plan, schema: Schema, state: Checkpoint) -> Sums:
    """What a later run can add its own sums to."""
    moments, counts = pooled(plan, schema, state)
    grouping = released_grouping(plan, schema, state) if isinstance(schema, TableSchema) else None
    return Sums(moments, counts, grouping)


def _moments(
    plan: Plan,
    schema: Schema,
    state: Checkpoint,
    moments: Array,
    counts: Array | None,
    noise: Noise,
) -> Moments:
    """Moments of opened sums. noise: of the counts and of the moments, relative to their sensitivity."""
    count_noise, measure_noise = noise
    assert counts is not None
    assert count_noise is not None
    assert isinstance(schema, TableSchema)
    phi, grouping = pairs(schema, plan), released_grouping(plan, schema, state)
    return estimate(moments, phi, measure_noise, one_way(counts, count_noise, grouping, schema, phi))
