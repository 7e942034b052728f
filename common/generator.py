"""A released generator: weights as safetensors, everything else as JSON. No pickle.

Conditions are native inputs: asking for one costs nothing and is exact, there is no rejection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors

from . import release_files
from .modalities.grouping import Grouping, evenly
from .modalities.layout import Layout
from .modalities.tabular import Codes, decode
from .models.encoding import condition_tensor
from .models.sizes import generator_size
from .models.tabular import Generator
from .phases import Model
from .schema import TableSchema

FORMAT = "fedcgan-generator-2"
_BATCH = 65536


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

    def sample(self, count: int, where: dict[str, str], seed: int) -> pd.DataFrame:
        """``count`` synthetic records with the given conditions.

        Raises UnknownConditionError naming the allowed values.
        """
        random = np.random.default_rng(seed)
        codes = self.grouping.to_codes(self.groups(count, where, seed), self.schema, random)
        return decode(codes, self.schema, random)

    def groups(self, count: int, where: dict[str, str], seed: int) -> Codes:
        """The same as grouped codes in schema order, int64[count, columns].

        Conditions, latents and codes are spread evenly instead of drawn independently, so that shares of the
        sample are those of the generator up to rounding.
        """
        layout = Layout.of(self.schema)
        random = np.random.default_rng(seed)
        grid, weights = self._conditions(layout, where)
        latents = len(self.generator.latents)
        ends = np.cumsum(np.repeat(weights / latents, latents))
        component = np.searchsorted(ends / ends[-1], (np.arange(count) + random.random()) / max(count, 1))
        component = np.minimum(component, len(ends) - 1)
        parts = []
        for part in np.array_split(component, max(1, -(-count // _BATCH))):
            present, member = np.unique(part, return_inverse=True)
            conditions = grid[present // latents]
            parts.append(self._draw(layout, present % latents, conditions, member, random))
        return layout.to_schema(random.permutation(np.concatenate(parts)))

    def _conditions(self, layout: Layout, where: dict[str, str]) -> tuple[Codes, NDArray[np.float64]]:
        """Combinations of conditions that were asked for, and their shares."""
        wanted = self.schema.condition_codes(where)
        grid = layout.condition_grid()
        names = [column.name for column in self.schema.conditions]
        asked = np.ones(len(grid), bool)
        for name, code in wanted.items():
            asked &= grid[:, names.index(name)] == code
        weights = self.prior[asked]
        if weights.sum() == 0.0:  # never seen in training: every remaining combination alike
            weights = np.ones(len(weights))
        return grid[asked], weights / weights.sum()

    @torch.no_grad()
    def _draw(
        self,
        layout: Layout,
        latents: NDArray[np.int64],
        conditions: Codes,
        member: NDArray[np.int64],
        random: np.random.Generator,
    ) -> Codes:
        """One row for each entry of ``member``, drawn from the component it names: int64[rows, columns]."""
        noise = self.generator.latents[torch.from_numpy(latents)]
        logits = self.generator(noise, condition_tensor(conditions, layout))
        soft = self.generator.columns.probabilities(logits).double().numpy()
        columns = []
        for probabilities in np.split(soft, np.cumsum(layout.generated)[:-1], axis=1):
            ends = np.cumsum(probabilities, axis=1)
            drawn = evenly(member, random) * 0.999999 * ends[member, -1]
            columns.append((ends[member] < drawn[:, None]).sum(1))
        return np.concatenate([np.stack(columns, axis=1), conditions[member]], axis=1)

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
        """From the content of the two files. Raises ConfigError, ValueError and what damage can raise."""
        release_files.check_format(description, FORMAT)
        schema = TableSchema.model_validate(description.pop("schema"))
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
