"""The privacy gate as everybody may see it: from noisy counts of how near synthetic records are to real ones.

A generator that copies is nearer to records it was trained on than to those it was not; all criteria compare
these two. One fails if its value is above the plan's threshold and further from chance than noise and
sampling explain, at a hundredth shared among all. Noise hides little copying: one that would not have seen
one copied record in ten is inconclusive. What is finer, sites see on their own records.
"""

from __future__ import annotations

import numpy as np

from common.evaluation.attacks import CLOSE_BINS, EXACT_BINS
from common.evaluation.figures import Criterion, Gate, Verdict
from common.plan import Plan

from .noisy_counts import WIDTH, Array, NoisyCounts, excess, true_positive_rate

_POWER = 1.645  # standard deviations for 19 of 20 cases
_SURE = 2.807  # standard deviations from chance, at 0.01 / 4 on one side
_BLIND = 0.1  # one record in ten


def shared_gate(trained: NoisyCounts, held_out: NoisyCounts, plan: Plan) -> Gate:
    """The criteria of a plan on units trained on and held out, by bins of nearness."""
    assert plan.release.evaluate is not None
    terms, both, shown = (
        plan.release.gate,
        NoisyCounts.stacked([trained, held_out]),
        plan.release.evaluate.records,
    )

    def copies(counts: Array) -> Array:
        matched = excess(EXACT_BINS)(counts) * np.maximum(counts[..., 0, :].sum(-1), 1.0)
        return np.asarray(matched / shown)

    return Gate(
        criteria=(
            _criterion(
                "copies",
                "Synthetic records that are copies of records trained on",
                "Share of synthetic records: exact matches beyond those of held-out records.",
                both.read(copies),
                terms.copies,
            ),
            _criterion(
                "close",
                "Records trained on that a synthetic record is suspiciously near",
                "Share of records trained on, beyond that of held-out ones.",
                both.read(excess(CLOSE_BINS)),
                terms.close,
            ),
            *(
                _criterion(
                    name,
                    f"Members that an attacker would name, at {100 * rate:g} % false alarms",
                    f"True positive rate of an attack by nearness; {100 * rate:g} % is chance.",
                    both.read(true_positive_rate(rate)),
                    threshold,
                    rate,
                )
                for name, rate, threshold in (
                    ("tpr_at_1_percent", 0.01, terms.tpr_at_1_percent),
                    ("tpr_at_01_percent", 0.001, terms.tpr_at_01_percent),
                )
            ),
        )
    )


def _criterion(
    name: str, title: str, how: str, read: tuple[float, float, float], threshold: float, chance: float = 0.0
) -> Criterion:
    value, low, high = read
    deviation = (high - low) / (2 * WIDTH)
    resolution = max(threshold, chance + _SURE * deviation) + _POWER * deviation
    verdict: Verdict = "passed"
    if value > threshold and value > chance + _SURE * deviation:
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
        how=how,
    )
