"""A released generator: weights as safetensors, everything else as JSON. No pickle.

Conditions are native inputs: asking for one costs nothing and is exact, there is no rejection.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from .errors import ConfigError, StorageError
from .modalities.layout import Layout
from .modalities.tabular import Codes, decode
from .models.moment_loss import condition_one_hot
from .models.tabular import Generator
from .plan import Model
from .schema import Schema
from .tables import write_whole

FORMAT = "fedcgan-generator-1"
WEIGHTS, DESCRIPTION = "generator.safetensors", "generator.json"
_WEIGHTS_LIMIT, _DESCRIPTION_LIMIT = 1 << 30, 1 << 24  # bytes
_BATCH = 65536


@dataclass(frozen=True, slots=True)
class ReleasedGenerator:
    """A generator with the schema and the released prior of its conditions.

    prior: share of each combination of conditions, float64[combinations]
    facts: what the release says about itself: epsilon, delta, unit, plan
    """

    schema: Schema
    model: Model
    generator: Generator
    prior: NDArray[np.float64]
    facts: dict[str, Any]

    def sample(self, count: int, where: dict[str, str], seed: int) -> pd.DataFrame:
        """``count`` synthetic records with the given conditions.

        Raises UnknownConditionError naming the allowed values.
        """
        return decode(self.codes(count, where, seed), self.schema, np.random.default_rng(seed))

    def codes(self, count: int, where: dict[str, str], seed: int) -> Codes:
        """The same as codes in schema order, int64[count, columns]."""
        layout = Layout.of(self.schema)
        conditions = self._conditions(layout, count, where, np.random.default_rng(seed))
        random = torch.Generator().manual_seed(seed)
        parts = [
            self._batch(layout, part, random)
            for part in np.array_split(conditions, max(1, -(-count // _BATCH)))
        ]
        return layout.to_schema(np.concatenate(parts))

    def _conditions(
        self, layout: Layout, count: int, where: dict[str, str], random: np.random.Generator
    ) -> Codes:
        wanted = self.schema.condition_codes(where)
        grid = layout.condition_grid()
        names = [column.name for column in self.schema.conditions]
        weights = self.prior.copy()
        for name, code in wanted.items():
            weights[grid[:, names.index(name)] != code] = 0.0
        if weights.sum() == 0.0:  # never seen in training: every remaining combination alike
            weights = np.ones(len(grid))
            for name, code in wanted.items():
                weights[grid[:, names.index(name)] != code] = 0.0
        return grid[random.choice(len(grid), size=count, p=weights / weights.sum())]

    @torch.no_grad()
    def _batch(self, layout: Layout, conditions: Codes, random: torch.Generator) -> Codes:
        noise = torch.randn((len(conditions), self.generator.latent), generator=random)
        logits = self.generator(noise, condition_one_hot(layout, conditions))
        codes = self.generator.columns.codes(logits, random).numpy()
        return np.concatenate([codes, conditions], axis=1)

    def save(self, folder: Path) -> None:
        """Write weights and description, each whole or not at all. Raises StorageError."""
        weights = save_tensors(
            {name: value.contiguous() for name, value in self.generator.state_dict().items()},
            metadata={"format": FORMAT},
        )
        description = {
            "format": FORMAT,
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "schema": self.schema.model_dump(mode="json"),
            "model": self.model.model_dump(mode="json"),
            "prior": self.prior.tolist(),
            **self.facts,
        }
        text = json.dumps(description, indent=2)
        write_whole(folder / WEIGHTS, lambda path: path.write_bytes(weights))
        write_whole(folder / DESCRIPTION, lambda path: path.write_text(text, "utf-8"))

    @classmethod
    def load(cls, folder: Path) -> ReleasedGenerator:
        """Read a release. Raises StorageError if it is absent, damaged or of another version."""
        try:
            description = json.loads(_read(folder / DESCRIPTION, _DESCRIPTION_LIMIT))
            weights = _read(folder / WEIGHTS, _WEIGHTS_LIMIT)
            if description.pop("format") != FORMAT:
                raise ConfigError("a generator of another version")
            if hashlib.sha256(weights).hexdigest() != description.pop("weights_sha256"):
                raise StorageError(f"{folder / WEIGHTS} is not the file that was released")
            schema = Schema.model_validate(description.pop("schema"))
            model = Model.model_validate(description.pop("model"))
            prior = np.array(description.pop("prior"), np.float64)
            layout = Layout.of(schema)
            if prior.shape != (math.prod(layout.conditions),) or not ((prior >= 0) & (prior < np.inf)).all():
                raise ValueError("a prior that is none of these conditions")
            if 4 * _least_parameters(layout, model) > len(weights):
                raise ValueError("a larger generator than the weights are of")
            generator = Generator(layout, model.latent, model.generator_hidden)
            generator.load_state_dict(load_tensors(weights))
        except FileNotFoundError as error:
            raise StorageError(
                f"there is no released generator in {folder}",
                hint="fedcgan demo makes one in demo-release/",
            ) from error
        except OSError as error:
            raise StorageError(f"the generator in {folder} cannot be read: {error.strerror}") from error
        except _DAMAGE as error:
            raise StorageError(
                f"the generator in {folder} is damaged", hint="get the release again"
            ) from error
        return cls(schema, model, generator, prior, description)


_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RuntimeError, SafetensorError)


def _read(path: Path, limit: int) -> bytes:
    if path.stat().st_size > limit:
        raise StorageError(f"{path} has more than {limit} bytes")
    return path.read_bytes()


def _least_parameters(layout: Layout, model: Model) -> int:
    """Weights, without biases, of a generator of these sizes: known before any is allocated."""
    hidden, latent = model.generator_hidden, model.latent
    layers = sum(a * b for a, b in pairwise((latent, *hidden, layout.generated_width)))
    film = 2 * sum(hidden) * layout.condition_width
    return layers + film + (latent + layout.condition_width) * layout.generated_width
