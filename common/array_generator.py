"""A released generator of images or signals. Conditions are inputs: asking for one is exact and free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from torch import Tensor

from . import release_files
from .arrays import Arrays
from .errors import SchemaError
from .modalities.array_layout import ArrayLayout
from .modalities.frequencies import MOST_NUMBERS, count
from .models.array_generator import ArrayGenerator
from .models.arrays import new_generator
from .models.encoding import condition_tensor
from .models.sizes import generator_size
from .phases import ArrayModel
from .schema import ArraySchema, of_kind

FORMAT = "fedcgan-array-generator-1"
_BATCH = 512  # records at a time, which bounds memory


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

    def sample(self, count: int, where: dict[str, str], seed: int) -> Arrays:
        """``count`` synthetic records with the given condition, classes in the shares of the prior.

        Raises UnknownConditionError naming the allowed values.
        """
        random = np.random.default_rng(seed)
        wanted = self.schema.condition_codes(where)
        if wanted:
            labels = np.full(count, wanted[self.schema.label.name], np.int64)
        else:
            ends = np.cumsum(self.prior) / self.prior.sum()
            places = (np.arange(count) + random.random()) / max(count, 1)
            labels = random.permutation(np.minimum(np.searchsorted(ends, places), len(ends) - 1))
        torch_random = torch.Generator().manual_seed(seed)
        return self._draw(self.generator.points(count, torch_random), labels)

    def interpolate(self, steps: int, seed: int) -> NDArray[Any]:
        """Between two points of the latent space, the same for every class: [classes, steps, channels, ...].

        On the great circle through both, so that every point between is as likely (White 2016).
        """
        random = torch.Generator().manual_seed(seed)
        start, end = self.generator.points(2, random)
        angle = torch.arccos((start @ end / (start.norm() * end.norm())).clamp(-1, 1)).clamp(min=1e-4)
        places = torch.linspace(0, 1, steps)[:, None]
        path = (((1 - places) * angle).sin() * start + (places * angle).sin() * end) / angle.sin()
        classes = self.schema.classes
        made = self._draw(path.repeat(classes, 1), np.repeat(np.arange(classes), steps))
        return made.values.reshape(classes, steps, *self.schema.shape)

    @torch.no_grad()
    def _draw(self, noise: Tensor, labels: NDArray[np.int64]) -> Arrays:
        layout = ArrayLayout.of(self.schema)
        conditions = condition_tensor(labels[:, None], layout)
        parts = (slice(start, start + _BATCH) for start in range(0, len(noise), _BATCH))
        values = [layout.natural(self.generator(noise[p], conditions[p]).numpy()) for p in parts]
        return Arrays(np.concatenate(values), labels)

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
        """From the content of the two files. Raises ConfigError, ValueError and what damage can raise."""
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
