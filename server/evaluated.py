"""From the opened counts of the last sum to figures that everybody may see."""

from __future__ import annotations

import numpy as np
import pandas as pd

from common.arrays import Arrays
from common.contributions import evaluation_features
from common.evaluation.figures import Evaluation, Figure
from common.evaluation.scored import COLUMNS, HELD_OUT, TASK, TRAINED, EvaluationFeatures
from common.modalities.tabular import encode
from common.plan import Plan
from common.schema import ArraySchema, Schema, TableSchema

from .checkpoint import Checkpoint
from .noisy_counts import WIDTH, Array, NoisyCounts, Statistic, accuracy, area_under_curve, macro_f1, shares
from .shared_gate import shared_gate

_SEEN = 3.0  # noise of a count of units, in standard deviations: with fewer, there is nothing to say of them
_HOW = "Noisy counts over all sites' held-out records; interval by parametric bootstrap."


def evaluated(
    plan: Plan, schema: Schema, state: Checkpoint, synthetic: pd.DataFrame | Arrays
) -> Evaluation | None:
    """What the run's evaluation says; None if the plan has none. synthetic: the records of the release."""
    asked = plan.release.evaluate
    if asked is None or state.evaluation is None:
        return None
    phi = evaluation_features(schema, plan)
    noise = asked.noise_multiplier * (state.evaluated_by / plan.federation.shares) ** 0.5
    deviations, counts = phi.deviations(noise), phi.counts(state.evaluation)
    blocks = {
        name: NoisyCounts.of(found, deviations[name]) for name, found in counts.items() if name != COLUMNS
    }
    fidelity: tuple[Figure, ...] = ()
    if isinstance(schema, TableSchema) and isinstance(synthetic, pd.DataFrame):
        fidelity = (_distance(phi.shares(counts[COLUMNS], deviations[COLUMNS]), synthetic, schema),)
    return Evaluation(
        shareable=True,
        fidelity=fidelity,
        utility=_utility(blocks, deviations, schema),
        subgroups=_subgroups(blocks, deviations, phi, schema),
        gate=shared_gate(blocks[TRAINED], blocks[HELD_OUT], plan),
        records={
            "trained_on_estimated": max(0, round(blocks[TRAINED].total)),
            "held_out_estimated": max(0, round(blocks[HELD_OUT].total)),
            "synthetic_shown": asked.records,
        },
    )


def _utility(
    blocks: dict[str, NoisyCounts], deviations: dict[str, float], schema: Schema
) -> tuple[Figure, ...]:
    if TASK not in blocks:
        return ()
    block, deviation = blocks[TASK], deviations[TASK]
    if isinstance(schema, ArraySchema):
        named = "held-out records whose class is named by trees that learnt from synthetic records"
        return (
            _figure("accuracy.trees", f"Share of {named}", block, accuracy, deviation),
            _figure("macro_f1.trees", f"Mean F1 over classes of {named}", block, macro_f1, deviation),
        )
    title = "AUC on held-out records of boosting that learnt from synthetic records"
    return (_figure("auc.boosting", title, block, area_under_curve, deviation),)


def _subgroups(
    blocks: dict[str, NoisyCounts], deviations: dict[str, float], phi: EvaluationFeatures, schema: Schema
) -> tuple[Figure, ...]:
    """The same for each value of a condition."""
    categories = {condition.name: condition.categories for condition in schema.conditions}
    return tuple(
        _figure(
            f"auc.boosting/{name}={category}",
            f"AUC of the same among records with {name} = {category}",
            blocks[f"{TASK}/{name}"].at(code),
            area_under_curve,
            deviations[f"{TASK}/{name}"],
        )
        for name in phi.groups
        for code, category in enumerate(categories[name])
    )


def _figure(name: str, title: str, block: NoisyCounts, statistic: Statistic, deviation: float) -> Figure:
    """None where the noise hides how many units there are of a side."""
    least = block.counts.sum(-1).min()
    known = least > max(1.0, _SEEN * deviation * block.counts.shape[-1] ** 0.5)
    read = [round(min(max(one, 0.0), 1.0), 4) for one in block.read(statistic)] if known else [None] * 3
    value, low, high = read
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


def _distance(held: tuple[list[Array], Array], synthetic: pd.DataFrame, schema: TableSchema) -> Figure:
    """Of each column's shares to those of held-out records, beside what noise and their number alone give."""
    codes, found, alone = encode(synthetic, schema), [], []
    for j, (counts, deviation) in enumerate(zip(*held, strict=True)):
        made = np.bincount(codes[:, j], minlength=len(counts)) / len(codes)
        found.append(np.abs(made - shares(counts)).sum() / 2)
        noisy = NoisyCounts.of(counts, float(deviation))
        alone.append(np.abs(shares(noisy.drawn) - shares(counts)).sum(1) / 2)
    floor = np.stack(alone).mean(0)
    value, spread = float(np.mean(found)), WIDTH * float(floor.std())
    least = value - float(floor.mean())  # noise moves shares apart, by so much at most (triangle inequality)
    return Figure(
        name="tvd1",
        title="Mean distance of a column's shares to those of held-out records (total variation)",
        value=round(value, 5),
        low=round(max(0.0, least - spread), 5),
        high=round(value + spread, 5),
        reference=round(float(floor.mean()), 5),
        better="lower",
        source="secure sum",
        how=f"{_HOW} The reference is what noise and the number of held-out records alone would give; the "
        "distance itself may be smaller by as much, and the interval holds it.",
    )
