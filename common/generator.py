"""A released generator: weights as safetensors, everything else as JSON. No pickle.

Conditions are native inputs: asking for one costs nothing and is exact, there is no rejection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors

from . import release_files
from .errors.sampling import typed
from .modalities.described import constraints_of, described
from .modalities.grouping import Grouping
from .modalities.layout import Layout
from .modalities.tabular import Codes, to_frame
from .models.encoding import condition_tensor
from .models.sizes import generator_size
from .models.tabular import Generator
from .phases import Model
from .release_files import PRIOR_NOISE
from .sampler.drawing import draw_groups
from .sampler.sampling import sample as draw
from .sampler.table import Table
from .schema import TableSchema, of_kind

FORMAT = "fedcgan-generator-3"


@dataclass(frozen=True, slots=True)
class ReleasedGenerator:
    """A generator with the schema and the released prior of its conditions.

    prior: share of each combination of conditions, float64[combinations]
    grouping: how the codes the generator draws are shared out to those of the schema
    facts: what the release says about itself: epsilon, delta, unit, plan
    """

    schema: TableSchema
    model: Model
    generator: Generator
    prior: NDArray[np.float64]
    grouping: Grouping
    facts: dict[str, Any]

    def sample(self, count: int, where: Mapping[str, str], seed: int) -> pd.DataFrame:
        """``count`` synthetic records with the given values or ranges; every constraint of the schema holds.

        Raises UnknownConditionError naming the allowed values, ImpossibleConditionError.
        """
        with typed():
            drawn = draw(self.table, self.chances, count, [f"{k}={v}" for k, v in where.items()], seed=seed)
        return to_frame(drawn.values, self.table.columns)

    def groups(self, count: int, where: Mapping[str, str], seed: int) -> Codes:
        """Grouped codes in schema order, int64[count, columns], as the generator draws them.

        Before values are chosen, so constraints are not looked at. where: conditions only
        Raises UnknownConditionError naming the allowed values.
        """
        grid, weights = self._conditions(where)
        random = np.random.default_rng(seed)
        return draw_groups(self.table, self.chances, grid, weights, count, random)

    def _conditions(self, where: Mapping[str, str]) -> tuple[Codes, NDArray[np.float64]]:
        """Combinations of conditions that were asked for, and their shares."""
        wanted = self.schema.condition_codes(dict(where))
        grid = Layout.of(self.schema).condition_grid()
        names = [column.name for column in self.schema.conditions]
        asked = np.ones(len(grid), bool)
        for name, code in wanted.items():
            asked &= grid[:, names.index(name)] == code
        weights = self.prior[asked]
        if weights.sum() == 0.0:  # never seen in training: every remaining combination alike
            weights = np.ones(len(weights))
        return grid[asked], weights

    @property
    def table(self) -> Table:
        """What the sampler has to know besides the network."""
        return Table(
            tuple(described(column) for column in self.schema.columns),
            constraints_of(self.schema),
            tuple(self.schema.groups),
            self.grouping.groups,
            self.grouping.shares,
            self.prior,
            len(self.generator.latents),
            float(self.facts.get("records_estimated", 0.0)),
            float(self.facts.get(PRIOR_NOISE, 0.0)),
        )

    @torch.no_grad()
    def chances(self, latents: NDArray[np.int64], conditions: Codes) -> NDArray[np.float32]:
        """Probabilities of each generated column's groups: float32[M, groups], a distribution a column.

        latents: points by number, int64[M]; conditions: codes, int64[M, conditions]
        """
        noise = self.generator.latents[torch.from_numpy(latents)]
        logits = self.generator(noise, condition_tensor(conditions, Layout.of(self.schema)))
        return self.generator.columns.probabilities(logits).numpy()

    def save(self, folder: Path) -> None:
        """Write weights and description, each whole or not at all. Raises StorageError."""
        description = {
            "format": FORMAT,
            "schema": self.schema.model_dump(mode="json"),
            "model": self.model.model_dump(mode="json"),
            "prior": self.prior.tolist(),
            "groups": self.grouping.groups.tolist(),
            "shares": self.grouping.shares.tolist(),
            **self.facts,
        }
        release_files.save(folder, self.generator, description)

    @classmethod
    def load(cls, folder: Path) -> ReleasedGenerator:
        """Read a release. Raises StorageError if it is absent, damaged or of another version."""
        return release_files.load(folder, cls.build)

    @classmethod
    def build(cls, description: dict[str, Any], weights: bytes) -> ReleasedGenerator:
        """From the content of the two files. Raises ValueError and what damage can raise."""
        release_files.check_format(description, FORMAT)
        schema = of_kind(description.pop("schema"))
        if not isinstance(schema, TableSchema):
            raise ValueError("not of a table")
        model = Model.model_validate(description.pop("model"))
        prior = np.array(description.pop("prior"), np.float64)
        layout = Layout.of(schema)
        if prior.shape != (math.prod(layout.conditions),) or not ((prior >= 0) & (prior < np.inf)).all():
            raise ValueError("a prior that is none of these conditions")
        grouping = _grouping(description.pop("groups"), description.pop("shares"), schema)
        if 4 * generator_size(layout, model) > len(weights):
            raise ValueError("a larger generator than the weights are of")
        generator = Generator(layout, model.latents, model.latent, model.generator_hidden)
        generator.load_state_dict(load_tensors(weights))
        return cls(schema, model, generator, prior, grouping, description)


def _grouping(groups: list[int], shares: list[float], schema: TableSchema) -> Grouping:
    """Raises ValueError or MalformedMessageError unless every group of the schema has its shares."""
    found = Grouping.from_wire(np.array(groups, np.int64), schema)
    given = np.array(shares, np.float64)
    owner = np.repeat(np.cumsum([0, *schema.groups[:-1]]), schema.sizes) + found.groups
    if given.shape != owner.shape or not (given >= 0).all():
        raise ValueError("shares that are none of these codes")
    total = np.bincount(owner, given)[np.unique(owner)]
    if not np.allclose(total, 1.0):
        raise ValueError("shares that are none of these groups")
    return Grouping(found.groups, given)
