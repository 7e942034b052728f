"""The last sum of a run: how its synthetic records do on a site's records, as bounded counts.

Each unit is counted once in a few histograms: how near the nearest synthetic record is (of those trained on
and those held out apart: what an attacker who guesses members would see), how a model learnt from synthetic
records scores a held-out one, and which values a held-out one has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Arrays
from ..holdout import Split
from ..modalities.array_layout import ArrayLayout
from ..modalities.histograms import HistogramFeatures
from ..modalities.tabular import Codes
from ..records import Records
from ..release_terms import Evaluate
from ..schema import ArraySchema, Schema, TableSchema
from .attacks import PUBLIC_BINS, public_bins
from .task import check_task

Array = NDArray[np.float64]

SCORES, SCORES_OF_GROUPS = 16, 8  # bins of a classifier's score, equal in [0, 1]
_MOST_GROUPS = 16  # values of a condition that are looked at apart
_MOST_CONDITIONS = 4

TRAINED, HELD_OUT, TASK, COLUMNS = "near/trained", "near/held out", "task", "columns"


@dataclass(frozen=True, slots=True)
class Block:
    """One histogram. weight: of a unit in it"""

    name: str
    shape: tuple[int, ...]
    weight: float

    @property
    def count(self) -> int:
        """Cells."""
        return math.prod(self.shape)


def _borders(bins: int) -> Array:
    """Log-odds between bins whose probabilities are equally wide."""
    share = np.arange(1, bins) / bins
    return np.asarray(np.log(share / (1 - share)))


@dataclass(frozen=True)
class EvaluationFeatures:
    """phi(unit): a weighted one-hot vector in each block of its side.

    Formal guarantee: a unit trained on moves the sum by at most 1, one held out by at most ``held_out_gain``
    (L2). Its records share one weight of 1, so that in a block they move at most the block's weight; the
    squares of the weights of each side add up to 1, or to ``held_out_gain`` squared; and it is on one side.

    What a unit held out pays: it enters this sum alone, with 1 / variance = (held_out_gain / noise)^2. Where
    that is at most the 1 / variance of all Gaussian sums of the run together (``limits`` checks it), its cost
    is at most that of a unit trained on, in this run and so in any composition of runs (Gaussian mechanisms
    compose by adding 1 / variance: Dong, Roth and Su 2022, corollary 3.3), whichever side it is on in each.
    """

    schema: Schema
    evaluate: Evaluate

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """In order: the trained side has one, the others share the held-out side."""
        shapes: dict[str, tuple[int, ...]] = {HELD_OUT: (PUBLIC_BINS,)}
        if isinstance(self.schema, ArraySchema):
            shapes[TASK] = (self.schema.classes, self.schema.classes)
        else:
            assert isinstance(self.schema, TableSchema)
            if self.evaluate.task is not None:
                shapes[TASK] = (2, SCORES)
                for condition in self.groups:
                    shapes[f"{TASK}/{condition}"] = (self._sizes[condition], 2, SCORES_OF_GROUPS)
            shapes[COLUMNS] = (sum(self.schema.sizes),)
        each = self.evaluate.held_out_gain / math.sqrt(len(shapes))
        held = tuple(Block(name, shape, each) for name, shape in shapes.items())
        return (Block(TRAINED, (PUBLIC_BINS,), 1.0), *held)

    @property
    def groups(self) -> list[str]:
        """Conditions whose values are looked at apart, where there is a task."""
        task = self.evaluate.task
        if task is None or not isinstance(self.schema, TableSchema):
            return []
        few = [c.name for c in self.schema.conditions if c.size <= _MOST_GROUPS and c.name != task.target]
        return few[:_MOST_CONDITIONS]

    @property
    def _sizes(self) -> dict[str, int]:
        return {condition.name: condition.size for condition in self.schema.conditions}

    @property
    def count(self) -> int:
        """Length of phi."""
        return sum(block.count for block in self.blocks)

    @property
    def smallest(self) -> float:
        """The smallest coordinate of phi."""
        return 0.0

    @property
    def largest(self) -> float:
        """The largest coordinate of phi."""
        return max(block.weight for block in self.blocks)

    def sum(self, split: Split, synthetic: NDArray[Any]) -> Array:
        """Sum of phi over a site's units: float64[count]. synthetic: rows as ``Records`` holds them"""
        held = split.held_out
        found = {
            TRAINED: self._near(split.training, synthetic),
            HELD_OUT: self._near(held, synthetic),
            **self._task(held, synthetic),
        }
        parts: list[Array] = []
        for block in self.blocks:
            if block.name == COLUMNS:
                parts.append(self._histograms.sum(held.rows, held.weights) * block.weight)
                continue
            weights = (split.training if block.name == TRAINED else held).weights
            cells = np.bincount(found[block.name], weights, minlength=block.count)
            parts.append(np.asarray(cells * block.weight, np.float64))
        return np.concatenate(parts)

    def _near(self, records: Records, synthetic: NDArray[Any]) -> NDArray[np.int64]:
        return public_bins(self._told(records.rows), self._told(synthetic), self.schema)

    def _told(self, rows: NDArray[Any]) -> Codes | Arrays:
        """Rows as attacks take them."""
        if isinstance(self.schema, ArraySchema):
            return ArrayLayout.of(self.schema).to_arrays(rows)
        return np.asarray(rows, np.int64)

    def _task(self, held: Records, synthetic: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
        """The cell of each held-out record in each block of the task."""
        from .probe import predicted_classes, task_scores  # scikit-learn is slow to load

        if isinstance(self.schema, ArraySchema):
            truth = held.rows[:, -1].astype(np.int64)
            return {TASK: truth * self.schema.classes + predicted_classes(synthetic, held.rows, self.schema)}
        assert isinstance(self.schema, TableSchema)
        if (task := self.evaluate.task) is None:
            return {}
        target, _, positive = check_task(self.schema, task)
        truth = positive[held.rows[:, target]].astype(np.int64)
        scores = task_scores(synthetic, held.rows, self.schema, task)
        fine, coarse = (
            np.searchsorted(_borders(n), scores, side="right") for n in (SCORES, SCORES_OF_GROUPS)
        )
        found = {TASK: truth * SCORES + fine}
        for condition in self.groups:
            group = held.rows[:, self.schema.names.index(condition)]
            found[f"{TASK}/{condition}"] = (group * 2 + truth) * SCORES_OF_GROUPS + coarse
        return found

    @cached_property
    def _histograms(self) -> HistogramFeatures:
        assert isinstance(self.schema, TableSchema)
        return HistogramFeatures(tuple(self.schema.sizes))

    def counts(self, total: Array) -> dict[str, Array]:
        """A (noisy) sum as counts of units in each cell, shaped as the blocks; ``columns`` left weighted."""
        parts = np.split(total, np.cumsum([block.count for block in self.blocks])[:-1])
        return {
            block.name: (part / block.weight).reshape(block.shape)
            for block, part in zip(self.blocks, parts, strict=True)
        }

    def deviations(self, noise: float) -> dict[str, float]:
        """Standard deviation of the noise in a cell of each block. noise: of a coordinate of the sum"""
        return {block.name: noise / block.weight for block in self.blocks}

    def shares(self, columns: Array, noise: float) -> tuple[list[Array], Array]:
        """Counts of each column's codes from the block ``columns``, and the noise of each column's."""
        return self._histograms.counts(columns), noise / self._histograms.weights
