"""A released generator of images or signals. Conditions are inputs: asking for one is exact and free."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors

from . import release_files
from .arrays import Arrays
from .errors import SchemaError
from .errors.sampling import typed
from .modalities.array_layout import ArrayLayout
from .modalities.described import described
from .modalities.frequencies import MOST_NUMBERS, count
from .models.array_generator import ArrayGenerator
from .models.arrays import new_generator
from .models.encoding import condition_tensor
from .models.sizes import generator_size
from .phases import ArrayModel
from .release_files import PRIOR_NOISE
from .sampler.arrays import ArrayKind, sample_arrays
from .sampler.columns import Category
from .schema import ArraySchema, SignalSchema, of_kind

FORMAT = "fedcgan-array-generator-1"


@dataclass(frozen=True, slots=True)
class ReleasedArrays:
    """A generator with the schema and the released prior of its label.

    prior: share of each class, float64[classes]; facts: what the release says about itself
    """

    schema: ArraySchema
    model: ArrayModel
    generator: ArrayGenerator
    prior: NDArray[np.float64]
    facts: dict[str, Any]

    def sample(self, count: int, where: Mapping[str, str], seed: int) -> Arrays:
        """``count`` synthetic records with the given condition, classes in the shares of the prior.

        Raises UnknownConditionError naming the allowed values.
        """
        with typed():
            wanted = [f"{name}={value}" for name, value in where.items()]
            drawn = sample_arrays(self.kind, self.values, count, wanted, seed=seed)
        return Arrays(drawn.values, drawn.labels)

    @property
    def kind(self) -> ArrayKind:
        """What the sampler has to know besides the network."""
        schema, layout = self.schema, ArrayLayout.of(self.schema)
        label = described(schema.label)
        assert isinstance(label, Category)
        signal = schema if isinstance(schema, SignalSchema) else None
        return ArrayKind(
            dataclasses.replace(label, condition=True),
            schema.shape,
            layout.bounds,
            layout.whole,
            signal.sampling_rate if signal else 0.0,
            tuple(channel.unit for channel in signal.channels) if signal else ("",) * schema.shape[0],
            self.model.latent,
            self.model.categories,
            self.model.factors,
            self.prior,
            float(self.facts.get("records_estimated", 0.0)),
            float(self.facts.get(PRIOR_NOISE, 0.0)),
        )

    @torch.no_grad()
    def values(self, noise: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """The network's values between -1 and 1: float32[records, channels, ...].

        noise: float32[records, latent]; labels: codes, int64[records]
        """
        conditions = condition_tensor(labels[:, None], ArrayLayout.of(self.schema))
        made = self.generator(torch.from_numpy(noise), conditions)
        return np.asarray(made.numpy()).reshape(len(labels), *self.schema.shape)

    def save(self, folder: Path) -> None:
        """Write weights and description, each whole or not at all. Raises StorageError."""
        description = {
            "format": FORMAT,
            "schema": self.schema.model_dump(mode="json"),
            "model": self.model.model_dump(mode="json"),
            "prior": self.prior.tolist(),
            **self.facts,
        }
        release_files.save(folder, self.generator, description)

    @classmethod
    def load(cls, folder: Path) -> ReleasedArrays:
        """Read a release. Raises StorageError if it is absent, damaged or of another version."""
        return release_files.load(folder, cls.build)

    @classmethod
    def build(cls, description: dict[str, Any], weights: bytes) -> ReleasedArrays:
        """From the content of the two files. Raises ValueError and what damage can raise."""
        release_files.check_format(description, FORMAT)
        schema = of_kind(description.pop("schema"))
        if not isinstance(schema, ArraySchema):
            raise SchemaError("not of images or signals")
        model = ArrayModel.model_validate(description.pop("model"))
        prior = np.array(description.pop("prior"), np.float64)
        if prior.shape != (schema.classes,) or not ((prior >= 0) & (prior < np.inf)).all() or not prior.sum():
            raise ValueError("a prior that is none of these classes")
        layout = ArrayLayout.of(schema)
        table = count(layout, model.coefficients) * layout.values  # of cosines, which no weights pay for
        if 4 * generator_size(layout, model) > len(weights) or table > MOST_NUMBERS:
            raise ValueError("a larger generator than the weights are of")
        generator = new_generator(layout, model)
        generator.load_state_dict(load_tensors(weights))
        return cls(schema, model, generator, prior, description)
