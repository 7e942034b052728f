"""What a step's vector is, how it is bounded and how it travels: agreed by both sides from the plan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from .crypto.packing import Packing
from .errors import MalformedMessageError
from .modalities.layout import Layout
from .modalities.tabular import GramFeatures
from .models.pair import Pair
from .plan import Model, Plan
from .schema import Schema

Array = NDArray[np.float64]

_STATE_LIMIT = 1e4  # no honest weight comes near; beyond it float32 could overflow on a record
_STATE_HEADER_LIMIT = 4096  # bytes; four names, shapes and offsets are 300


@cache
def _counts(layout: Layout, model: Model) -> tuple[int, int]:
    return Pair.new(layout, model, seed=0).counts


@dataclass(frozen=True)
class MeasureEncoding:
    """The noisy sum of feature maps: float64[features.count]."""

    schema: Schema
    plan: Plan

    @cached_property
    def features(self) -> GramFeatures:
        """The bounded feature map of this schema."""
        return GramFeatures(Layout.of(self.schema).sizes, self.plan.measure.single_weight)

    @cached_property
    def limit(self) -> Array:
        """Public bound of each noisy value."""
        return self.plan.measure.limit * self.features.weights

    @cached_property
    def packing(self) -> Packing:
        """How it travels."""
        return self.plan.packing(self.plan.measure.field_bits, self.features.count)


@dataclass(frozen=True)
class TrainEncoding:
    """A site's updates of generator and discriminator: float64[parameters]."""

    schema: Schema
    plan: Plan

    @cached_property
    def counts(self) -> tuple[int, int]:
        """Parameters of generator and discriminator."""
        return _counts(Layout.of(self.schema), self.plan.model)

    @cached_property
    def limit(self) -> Array:
        """Public bound of each coordinate: the distance the optimisers can reasonably go.

        Discriminator (plain SGD): ``update_limit`` standard deviations of the accumulated noise,
        learning rate * noise * sqrt(steps). Generator (Adam, betas 0.5 and 0.9): a step moves a
        coordinate by at most 1.58 learning rates (Kingma and Ba 2015, section 2.1).
        """
        train = self.plan.train
        noise = train.noise_multiplier * train.max_grad_norm / train.expected_batch_size
        generator = 1.6 * train.generator_learning_rate * max(1, train.generator_steps)
        discriminator = train.discriminator_learning_rate * noise * train.local_steps**0.5
        return np.repeat([generator, train.update_limit * discriminator], self.counts)

    @cached_property
    def packing(self) -> Packing:
        """How it travels."""
        return self.plan.packing(self.plan.train.field_bits, sum(self.counts))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainState:
    """The public state a training round starts from.

    parameters: generator, then discriminator, float32; singles, pairs, prior: released moments
    """

    parameters: NDArray[np.float32]
    singles: Array
    pairs: Array
    prior: Array

    def to_bytes(self) -> bytes:
        """safetensors."""
        tensors = {
            "parameters": self.parameters,
            "singles": self.singles.astype(np.float32),
            "pairs": self.pairs.astype(np.float32),
            "prior": self.prior.astype(np.float32),
        }
        return safetensors.numpy.save(tensors)

    @classmethod
    def from_bytes(cls, raw: bytes, layout: Layout) -> TrainState:
        """Raises MalformedMessageError unless the shapes fit the layout."""
        if int.from_bytes(raw[:8], "little") > _STATE_HEADER_LIMIT:
            raise MalformedMessageError("a training state with too long a header")
        try:
            tensors = safetensors.numpy.load(raw)
            arrays = [tensors[name] for name in ("parameters", "singles", "pairs", "prior")]
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise MalformedMessageError("this is no state of a training round") from error
        expected = [(layout.width,), (layout.width, layout.width), (math.prod(layout.conditions),)]
        if [array.shape for array in arrays[1:]] != expected or arrays[0].ndim != 1:
            raise MalformedMessageError("a training state of other shapes")
        if any(array.dtype != np.float32 for array in arrays):
            raise MalformedMessageError("a training state of another type than float32")
        with np.errstate(invalid="ignore"):  # a signalling NaN warns in any comparison; it fails this one
            if not all((np.abs(array) <= _STATE_LIMIT).all() for array in arrays):
                raise MalformedMessageError(f"a training state beyond {_STATE_LIMIT:g}, or not finite")
        parameters = arrays[0]
        singles, pairs, prior = (array.astype(np.float64) for array in arrays[1:])
        if (prior < 0).any() or prior.sum() <= 0:
            raise MalformedMessageError("a training state whose prior is no distribution")
        return cls(parameters=parameters, singles=singles, pairs=pairs, prior=prior)
