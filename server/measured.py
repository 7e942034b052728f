"""What the measure phase released, whatever the modality: everything later phases need of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from common.contributions import array_features, pairs
from common.modalities.array_features import ArrayFeatures
from common.modalities.gram import GramFeatures
from common.modalities.grouping import Grouping
from common.modalities.simplex import to_simplex
from common.models.array_generator import ArrayGenerator
from common.models.array_loss import ANCHOR_BATCH, ArrayMomentLoss
from common.models.objective import FittingLoss
from common.models.tabular import Generator
from common.phases import ArrayMeasure, Measure
from common.plan import Plan
from common.schema import ArraySchema, Schema
from common.states import ArrayRoundState, RoundState, StepState

from . import array_fit, fit
from .checkpoint import Checkpoint
from .continued import pooled
from .moments import Moments
from .released import own_moments, released_grouping, released_moments

Array = NDArray[np.float64]


class Measured(Protocol):
    """Released moments, and what is made of them."""

    @property
    def total(self) -> float:
        """Estimated number of units."""

    @property
    def prior(self) -> Array:
        """Share of each combination of conditions: float64[combinations]."""

    @property
    def anchor(self) -> FittingLoss:
        """What holds a generator to the moments in the adversarial phase."""

    def fit(self, generator: Any, epsilon: float, folder: Path | None = None) -> None:
        """Fit the generator to the moments, in place. folder: where a long fit may be taken up again."""

    def step_state(self, entered: NDArray[np.float32]) -> bytes:
        """What a step of ``every-step`` starts from."""

    def round_state(self, parameters: NDArray[np.float32]) -> bytes:
        """What a round of ``local`` starts from."""


@dataclass(frozen=True)
class TableMeasured:
    """Of a table: one-way and two-way moments of grouped codes."""

    plan: Plan
    features: GramFeatures
    grouping: Grouping
    moments: Moments

    @property
    def total(self) -> float:
        """Estimated number of units."""
        return self.moments.total

    @property
    def prior(self) -> Array:
        """Share of each combination of conditions."""
        return self.moments.prior

    @cached_property
    def anchor(self) -> FittingLoss:
        """The exact loss on all moments."""
        return fit.moment_loss(self.moments, self.features)

    def fit(self, generator: Generator, epsilon: float, folder: Path | None = None) -> None:
        """Fit the generator to the moments, in place; it takes seconds, so nothing is kept."""
        del folder
        assert isinstance(self.plan.measure, Measure)
        fit.fit(generator, self.moments, self.features, self.plan.measure, epsilon)

    def step_state(self, entered: NDArray[np.float32]) -> bytes:
        """Grouping and the parameters that records enter."""
        return StepState(grouping=self.grouping, entered=entered).to_bytes()

    def round_state(self, parameters: NDArray[np.float32]) -> bytes:
        """Grouping, networks and moments."""
        moments = self.moments
        return RoundState(
            grouping=self.grouping,
            parameters=parameters,
            singles=moments.singles,
            pairs=moments.pairs,
            single_precision=moments.single_precision,
            noise=moments.noise,
            prior=moments.prior,
        ).to_bytes()


@dataclass(frozen=True)
class ArrayMeasured:
    """Of images or signals: the sum of their features by class."""

    plan: Plan
    features: ArrayFeatures
    sum: Array

    @cached_property
    def total(self) -> float:
        """Estimated number of units."""
        return max(1.0, float(self.features.counts(self.sum).sum()))

    @cached_property
    def prior(self) -> Array:
        """Share of each class."""
        return to_simplex(self.features.counts(self.sum) / self.total)

    @cached_property
    def anchor(self) -> FittingLoss:
        """The loss on all features, by a small batch of each class."""
        random = torch.Generator().manual_seed(self.plan.seed)
        return ArrayMomentLoss(self.features, self.sum, ANCHOR_BATCH, random)

    def fit(self, generator: ArrayGenerator, epsilon: float, folder: Path | None = None) -> None:
        """Fit the generator to the sum, in place; goes on where it was interrupted."""
        plan, kept = self.plan, folder and folder / "fit.safetensors"
        assert isinstance(plan.measure, ArrayMeasure)
        array_fit.fit(
            generator, self.sum, self.features, plan.measure, epsilon, plan.seed, kept=kept, mark=plan.hash
        )

    def step_state(self, entered: NDArray[np.float32]) -> bytes:
        """The parameters that records enter."""
        return StepState(grouping=None, entered=entered).to_bytes()

    def round_state(self, parameters: NDArray[np.float32]) -> bytes:
        """Networks and the sum."""
        return ArrayRoundState(parameters=parameters, total=self.sum, prior=self.prior).to_bytes()


@dataclass(frozen=True)
class Continued:
    """In the adversarial phase of a continued run: moments of all records, units and classes of the new ones.

    Only new records enter training, so fakes beside them have their classes.
    """

    all: Measured
    new: Measured

    @property
    def total(self) -> float:
        """Estimated number of new units."""
        return self.new.total

    @property
    def prior(self) -> Array:
        """Share of each combination of conditions among the new."""
        return self.new.prior

    @property
    def anchor(self) -> FittingLoss:
        """To the moments of all."""
        return self.all.anchor

    def fit(self, generator: Any, epsilon: float, folder: Path | None = None) -> None:
        """To the moments of all."""
        self.all.fit(generator, epsilon, folder)

    def step_state(self, entered: NDArray[np.float32]) -> bytes:
        """What a step of ``every-step`` starts from."""
        return self.all.step_state(entered)

    def round_state(self, parameters: NDArray[np.float32]) -> bytes:
        """What a round of ``local`` starts from; a table's prior belongs to its moments, those of all."""
        if isinstance(self.all, ArrayMeasured):
            return ArrayRoundState(parameters=parameters, total=self.all.sum, prior=self.prior).to_bytes()
        return self.all.round_state(parameters)


def measured(plan: Plan, schema: Schema, state: Checkpoint) -> Measured:
    """What a run whose measure step is open has released, with the runs it continues."""
    if isinstance(schema, ArraySchema):
        moments, _ = pooled(plan, schema, state)
        return ArrayMeasured(plan, array_features(schema, plan), moments)
    return _table(plan, schema, state, released_moments(plan, schema, state))


def trained_on(plan: Plan, schema: Schema, state: Checkpoint) -> Measured:
    """The same as the adversarial phase takes it."""
    everything = measured(plan, schema, state)
    if plan.continues is None:
        return everything
    if isinstance(schema, ArraySchema):
        assert state.moments is not None
        return Continued(everything, ArrayMeasured(plan, array_features(schema, plan), state.moments))
    return Continued(everything, _table(plan, schema, state, own_moments(plan, schema, state)))


def _table(plan: Plan, schema: Schema, state: Checkpoint, moments: Moments) -> TableMeasured:
    return TableMeasured(plan, pairs(schema, plan), released_grouping(plan, schema, state), moments)
