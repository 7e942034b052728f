"""From the opened counts of the last sum to figures with intervals, and to the gate that everybody may see.

Everything here is post-processing of noisy sums. Intervals are those of a parametric bootstrap: the counts
are drawn again from the noise that the plan prescribes and from Poisson laws around what was opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common.arrays import Arrays
from common.contributions import evaluation_features
from common.evaluation.figures import Criterion, Evaluation, Figure, Gate, Verdict
from common.evaluation.public_bins import CLOSE_BINS
from common.evaluation.scored import COLUMNS, HELD_OUT, TASK, TRAINED, EvaluationFeatures
from common.modalities.tabular import encode
from common.plan import Plan
from common.schema import ArraySchema, Schema, TableSchema

from .checkpoint import Checkpoint

Array = NDArray[np.float64]

_DRAWS, _SEED = 400, 0
_WIDTH = 1.96  # of a 95 % interval, in standard deviations
_POWER = 1.645  # beyond it, for 19 of 20 cases
_BLIND = 0.1  # one copy in ten: a criterion that would not have seen it, decides nothing
_HOW = "secure sum over all sites, with noise; interval by parametric bootstrap"


@dataclass(frozen=True)
class _Opened:
    """Counts of one block, as opened, and drawn again: float64[cells...] and float64[draws, cells...]."""

    counts: Array
    drawn: Array

    def read(self, statistic: Callable[[Array], Array]) -> tuple[float, float, float]:
        """A statistic of counts [..., cells], with the bounds of its interval."""
        return _interval(statistic(self.counts[None])[0], statistic(self.drawn))


def evaluated(
    plan: Plan, schema: Schema, state: Checkpoint, synthetic: pd.DataFrame | Arrays
) -> Evaluation | None:
    """What the run's evaluation says; None if the plan has none. synthetic: the records of the release."""
    asked = plan.release.evaluate
    if asked is None or state.evaluation is None:
        return None
    phi = evaluation_features(schema, plan)
    contributors = len(plan.federation.sites)
    noise = asked.noise_multiplier * (contributors / plan.federation.shares) ** 0.5
    blocks = _blocks(phi, state.evaluation, noise)
    return Evaluation(
        shareable=True,
        fidelity=_fidelity(phi, state.evaluation, noise, synthetic, schema),
        utility=_utility(blocks, schema),
        subgroups=_subgroups(blocks, phi, schema),
        gate=_gate(blocks, plan, asked.records),
        records={
            "trained_on_estimated": max(0, round(float(blocks[TRAINED].counts.sum()))),
            "held_out_estimated": max(0, round(float(blocks[HELD_OUT].counts.sum()))),
            "synthetic_shown": asked.records,
        },
    )


def _blocks(phi: EvaluationFeatures, total: Array, noise: float) -> dict[str, _Opened]:
    random, deviations = np.random.default_rng(_SEED), phi.deviations(noise)
    found = {}
    for name, counts in phi.counts(total).items():
        if name == COLUMNS:
            continue
        sampled = random.poisson(np.maximum(counts, 0.0), (_DRAWS, *counts.shape))
        drawn = counts + (sampled - np.maximum(counts, 0.0))
        found[name] = _Opened(counts, drawn + random.normal(0, deviations[name], drawn.shape))
    return found


def _interval(value: float, drawn: Array) -> tuple[float, float, float]:
    """Centred on the value: draws around counts that carry noise already are off by it twice."""
    spread = _WIDTH * float(np.nanstd(drawn))
    return float(value), float(value) - spread, float(value) + spread


def _gate(blocks: dict[str, _Opened], plan: Plan, shown: int) -> Gate:
    """How much nearer synthetic records are to records trained on than to those held out."""
    terms, trained, held = plan.release.gate, blocks[TRAINED], blocks[HELD_OUT]
    both = _Opened(np.stack([trained.counts, held.counts]), np.stack([trained.drawn, held.drawn], axis=1))

    def excess(bins: int) -> Callable[[Array], Array]:
        def statistic(counts: Array) -> Array:
            totals = np.maximum(counts.sum(-1), 1.0)
            shares = counts[..., :bins].sum(-1) / totals
            return np.asarray(shares[..., 0] - shares[..., 1])

        return statistic

    def copies(counts: Array) -> Array:
        return np.asarray(excess(1)(counts) * np.maximum(counts[..., 0, :].sum(-1), 1.0) / shown)

    return Gate(
        criteria=(
            _criterion(
                "copies",
                "synthetic records that are copies of records trained on",
                both,
                copies,
                terms.copies,
                "of all synthetic records; exact matches beyond those of held-out records",
            ),
            _criterion(
                "close",
                "records trained on with a synthetic record suspiciously near",
                both,
                excess(CLOSE_BINS),
                terms.close,
                "share of records trained on, beyond that of held-out ones",
            ),
            _criterion(
                "tpr_at_1_percent",
                "members an attacker would name, with 1 % false alarms",
                both,
                lambda counts: _tpr(counts, 0.01),
                terms.tpr_at_1_percent,
                "true positive rate of an attack by nearness; 1 % is chance",
            ),
            _criterion(
                "tpr_at_01_percent",
                "members an attacker would name, with 0.1 % false alarms",
                both,
                lambda counts: _tpr(counts, 0.001),
                terms.tpr_at_01_percent,
                "true positive rate of an attack by nearness; 0.1 % is chance",
            ),
        )
    )


def _criterion(
    name: str,
    title: str,
    opened: _Opened,
    statistic: Callable[[Array], Array],
    threshold: float,
    how: str,
) -> Criterion:
    value, low, high = opened.read(statistic)
    resolution = threshold + (_WIDTH + _POWER) * (high - low) / (2 * _WIDTH)
    verdict: Verdict = "passed"
    if low > threshold:
        verdict = "failed"
    elif resolution > max(_BLIND, 2 * threshold):
        verdict = "inconclusive"
    return Criterion(
        name=name,
        title=title,
        value=round(value, 5),
        low=round(low, 5),
        high=round(high, 5),
        threshold=threshold,
        resolution=round(resolution, 5),
        verdict=verdict,
        source="secure sum",
        how=f"{how}; {_HOW}",
    )


def _tpr(counts: Array, rate: float) -> Array:
    """True positive rate at a false positive rate, the nearest named first: [..., 2, bins] to [...].

    Inside the bin in which the rate is reached, it names at random.
    """
    shares = np.maximum(counts, 0.0) / np.maximum(np.maximum(counts, 0.0).sum(-1, keepdims=True), 1.0)
    hits, alarms = shares[..., 0, :].cumsum(-1), shares[..., 1, :].cumsum(-1)
    place = (alarms < rate).sum(-1, keepdims=True).clip(max=counts.shape[-1] - 1)
    before = np.maximum(place - 1, 0)
    hits_before = np.where(place > 0, np.take_along_axis(hits, before, -1), 0.0)
    alarms_before = np.where(place > 0, np.take_along_axis(alarms, before, -1), 0.0)
    inside = np.maximum(np.take_along_axis(alarms, place, -1) - alarms_before, 1e-12)
    part = np.clip((rate - alarms_before) / inside, 0.0, 1.0)
    found = hits_before + part * (np.take_along_axis(hits, place, -1) - hits_before)
    return np.asarray(found[..., 0])


def _auc(counts: Array) -> Array:
    """Area under the curve of scores in bins, [..., (negative, positive), bins] to [...]."""
    shares = counts / np.maximum(counts.sum(-1, keepdims=True), 1.0)
    below = shares[..., 0, :].cumsum(-1) - shares[..., 0, :] / 2
    return np.asarray((shares[..., 1, :] * below).sum(-1))


def _accuracy(counts: Array) -> Array:
    """[..., truth, said] to [...]."""
    diagonal = np.diagonal(counts, axis1=-2, axis2=-1).sum(-1)
    return np.asarray(diagonal / np.maximum(counts.sum((-2, -1)), 1.0))


def _macro_f1(counts: Array) -> Array:
    """Mean over classes of 2 hits / (truth + said): [..., truth, said] to [...]."""
    positive = np.maximum(counts, 0.0)
    hits = np.diagonal(positive, axis1=-2, axis2=-1)
    return np.asarray((2 * hits / np.maximum(positive.sum(-1) + positive.sum(-2), 1e-9)).mean(-1))


def _utility(blocks: dict[str, _Opened], schema: Schema) -> tuple[Figure, ...]:
    if TASK not in blocks:
        return ()
    if isinstance(schema, ArraySchema):
        return (
            _figure(
                "accuracy.trees",
                "held-out records whose class trees name, learnt from synthetic records",
                blocks[TASK].read(_accuracy),
            ),
            _figure("macro_f1.trees", "mean F1 over classes of the same", blocks[TASK].read(_macro_f1)),
        )
    return (
        _figure(
            "auc.boosting",
            "AUC on held-out records of boosting, learnt from synthetic records",
            blocks[TASK].read(_auc),
        ),
    )


def _subgroups(blocks: dict[str, _Opened], phi: EvaluationFeatures, schema: Schema) -> tuple[Figure, ...]:
    """The task for each value of a condition, where the noise leaves something to see."""
    found = []
    for name in phi.groups:
        block = blocks[f"{TASK}/{name}"]
        condition = next(c for c in schema.conditions if c.name == name)
        for code, category in enumerate(condition.categories):
            read = _Opened(block.counts[code], block.drawn[:, code]).read(_auc)
            title = f"AUC of the same among records with {name} = {category}"
            found.append(_figure(f"auc.boosting/{name}={category}", title, read))
    return tuple(found)


def _figure(name: str, title: str, read: tuple[float, float, float]) -> Figure:
    value, low, high = (round(min(max(one, 0.0), 1.0), 4) for one in read)
    return Figure(
        name=name,
        title=title,
        value=value,
        low=low,
        high=high,
        better="higher",
        source="secure sum",
        how=_HOW,
    )


def _fidelity(
    phi: EvaluationFeatures, total: Array, noise: float, synthetic: Any, schema: Schema
) -> tuple[Figure, ...]:
    """Distance of each column's shares to those of held-out records, beside what noise alone adds."""
    if not isinstance(schema, TableSchema) or not isinstance(synthetic, pd.DataFrame):
        return ()
    held, deviations = phi.shares(phi.counts(total)[COLUMNS], noise / _weight(phi))
    codes = encode(synthetic, schema)
    found, floor = [], []
    random = np.random.default_rng(_SEED)
    for j, (counts, deviation) in enumerate(zip(held, deviations, strict=True)):
        made = np.bincount(codes[:, j], minlength=len(counts)) / len(codes)
        units = max(float(counts.sum()), 1.0)
        found.append(np.abs(made - counts / units).sum() / 2)
        expected = np.maximum(counts, 0.0)
        again = random.poisson(expected, (_DRAWS, len(counts))) - expected
        drawn = (again + random.normal(0, deviation, again.shape)) / units
        floor.append(np.abs(drawn).sum(1) / 2)
    alone = np.stack(floor).mean(0)
    value, spread = float(np.mean(found)), _WIDTH * float(alone.std())
    return (
        Figure(
            name="tvd1",
            title="mean distance of a column's shares to those of held-out records (total variation)",
            value=round(value, 5),
            low=round(max(0.0, value - spread), 5),
            high=round(value + spread, 5),
            reference=round(float(alone.mean()), 5),
            better="lower",
            source="secure sum",
            how=f"{_HOW}; the reference is what noise and the number of held-out records alone would give",
        ),
    )


def _weight(phi: EvaluationFeatures) -> float:
    return next(block.weight for block in phi.blocks if block.name == COLUMNS)
