"""What a step's vector is, how it is bounded and how it travels: agreed by both sides from the plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .crypto.packing import Integers, Packing, Quantiser
from .evaluation.scored import EvaluationFeatures
from .modalities.array_features import ArrayFeatures
from .modalities.array_layout import ArrayLayout
from .modalities.feature_map import FeatureMap
from .modalities.gram import GramFeatures
from .modalities.histograms import HistogramFeatures
from .modalities.layout import Layout
from .modalities.neighbours import NeighbourFeatures
from .models.build import PLAIN, new_family
from .models.encoding import AnyLayout
from .models.family import Family
from .models.pair import Pair, count
from .phases import AnyMeasure, AnyModel, ArrayMeasure, Count, EveryStep, Local, Measure, Objective
from .plan import COUNT_STEP, EVALUATE_STEP, MEASURE_STEP, Plan
from .privacy.integer_noise import NoiseGrid
from .release_terms import Evaluate
from .schema import ArraySchema, Schema, TableSchema

Array = NDArray[np.float64]


class Encoding(Protocol):
    """How a step's values become integers and the sum of integers becomes values."""

    @property
    def packing(self) -> Packing:
        """How the integers travel."""

    def sum_to_values(self, sums: Integers, contributors: int) -> Array:
        """The opened sum in the unit of the values: float64[count]."""


@dataclass(frozen=True)
class NoisySum:
    """A sum whose noise is shared between the sites: exact values in, integers with a share of noise out.

    A unit moves the sum by at most 1 (L2); noise_multiplier is the whole noise's standard deviation.
    count: values; low, high: public bounds of a site's value, before noise
    """

    plan: Plan
    count: int
    low: float
    high: float
    noise_multiplier: float
    field_bits: int

    @cached_property
    def packing(self) -> Packing:
        """How the integers travel."""
        return self.plan.packing(self.field_bits, self.count)

    @cached_property
    def grid(self) -> NoiseGrid:
        """How values become integers."""
        return NoiseGrid(
            low=self.low,
            high=self.high,
            noise=self.noise_multiplier,
            shares=self.plan.federation.shares,
            max_value=self.packing.max_value,
        )

    def sum_to_values(self, sums: Integers, contributors: int) -> Array:
        """The opened sum, noise included: float64[count]."""
        return self.grid.sum_to_values(sums, contributors)


@dataclass(frozen=True)
class LocalSum:
    """A sum of updates that each carry the whole noise already: rounded at random to the grid.

    limit: float64[count], public
    """

    limit: Array
    packing: Packing

    @property
    def quantiser(self) -> Quantiser:
        """How values become integers."""
        return Quantiser(self.limit, self.packing.max_value)

    def sum_to_values(self, sums: Integers, contributors: int) -> Array:
        """The opened sum: float64[count]."""
        return self.quantiser.sum_to_values(sums, contributors)


def layout_of(schema: Schema) -> AnyLayout:
    """How both sides see a record of this schema."""
    if isinstance(schema, ArraySchema):
        return ArrayLayout.of(schema)
    assert isinstance(schema, TableSchema)
    return Layout.of(schema)


def family_of(schema: Schema, plan: Plan) -> Family:
    """The networks of a plan, as they start."""
    objective = plan.train.objective if plan.train else PLAIN
    return new_family(layout_of(schema), plan.model, objective, plan.seed)


def histograms(schema: Schema) -> HistogramFeatures:
    """The feature map of a table's first sum."""
    assert isinstance(schema, TableSchema)
    return HistogramFeatures(tuple(schema.sizes))


def pairs(schema: Schema, plan: Plan) -> GramFeatures:
    """The feature map of a table's second sum."""
    assert isinstance(schema, TableSchema)
    assert isinstance(plan.measure, Measure)
    layout = Layout.of(schema)
    names = [schema.columns[i].name for i in layout.order]
    split = tuple(sorted(names.index(name) for name in plan.measure.split))
    weights = plan.measure.power, plan.measure.condition_weight
    if plan.measure.neighbours is None:
        return GramFeatures(layout, split, *weights)
    return NeighbourFeatures(layout, split, *weights, neighbours=plan.measure.neighbours)


def array_features(schema: Schema, plan: Plan) -> ArrayFeatures:
    """The feature map of the sum of images or signals."""
    assert isinstance(schema, ArraySchema)
    assert isinstance(plan.measure, ArrayMeasure)
    return ArrayFeatures.of(ArrayLayout.of(schema), plan.measure)


def measured(schema: Schema, plan: Plan) -> FeatureMap:
    """The feature map of step ``measure``."""
    return array_features(schema, plan) if isinstance(schema, ArraySchema) else pairs(schema, plan)


def evaluation_features(schema: Schema, plan: Plan) -> EvaluationFeatures:
    """The bounded counts of step ``evaluate``."""
    assert plan.release.evaluate is not None
    return EvaluationFeatures(schema, plan.release.evaluate)


def evaluate_encoding(phi: EvaluationFeatures, plan: Plan, evaluate: Evaluate) -> NoisySum:
    """The sum of these counts. A site holds out at most as many units as it could hold in all."""
    most = plan.max_records / (1 - plan.release.holdout)
    high = most * phi.largest
    return NoisySum(plan, phi.count, 0.0, high, evaluate.noise_multiplier, evaluate.field_bits)


def feature_encoding(phi: FeatureMap, plan: Plan, phase: Count | AnyMeasure) -> NoisySum:
    """The sum of a feature map over the units of a site."""
    low, high = (plan.max_records * bound for bound in (phi.smallest, phi.largest))
    return NoisySum(plan, phi.count, low, high, phase.noise_multiplier, phase.field_bits)


def gradient_encoding(schema: Schema, plan: Plan, train: EveryStep) -> NoisySum:
    """The sum of clipped gradients of the parameters that records enter, in clipping norms."""
    count, limit = _entered(layout_of(schema), plan.model, train.objective), train.sum_limit
    return NoisySum(plan, count, -limit, limit, train.noise_multiplier, train.field_bits)


def local_encoding(schema: Schema, plan: Plan, train: Local) -> LocalSum:
    """A site's updates of generator and discriminator, bounded by how far the optimisers can reasonably go.

    Discriminator (plain SGD): ``update_limit`` standard deviations of the accumulated noise, learning rate *
    noise * sqrt(steps). Generator (Adam, betas 0.5 and 0.9): a step moves a coordinate by at most 1.58
    learning rates (Kingma and Ba 2015, section 2.1).
    """
    noise = train.noise_multiplier * train.max_grad_norm / train.expected_batch_size
    generator = 1.6 * train.generator_learning_rate * max(1, train.generator_steps)
    discriminator = train.discriminator_learning_rate * noise * train.local_steps**0.5
    parameters = counts(schema, plan)
    limit = np.repeat([generator, train.update_limit * discriminator], parameters)
    return LocalSum(limit, plan.packing(train.field_bits, sum(parameters)))


def encoding(step: str, schema: Schema, plan: Plan) -> Encoding:
    """The encoding of a step of the plan."""
    if step == COUNT_STEP:
        assert plan.count is not None
        return feature_encoding(histograms(schema), plan, plan.count)
    if step == MEASURE_STEP:
        return feature_encoding(measured(schema, plan), plan, plan.measure)
    if step == EVALUATE_STEP:
        assert plan.release.evaluate is not None
        return evaluate_encoding(evaluation_features(schema, plan), plan, plan.release.evaluate)
    assert plan.train is not None
    if isinstance(plan.train, EveryStep):
        return gradient_encoding(schema, plan, plan.train)
    return local_encoding(schema, plan, plan.train)


def counts(schema: Schema, plan: Plan) -> tuple[int, int]:
    """Parameters of generator and discriminator."""
    return _counts(layout_of(schema), plan.model)


@cache
def _counts(layout: AnyLayout, model: AnyModel) -> tuple[int, int]:
    return Pair.new(layout, model, seed=0).counts


@cache
def _entered(layout: AnyLayout, model: AnyModel, objective: Objective) -> int:
    return count(new_family(layout, model, objective, seed=0).entered)
