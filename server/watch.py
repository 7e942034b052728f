"""What a practitioner watches while a run goes: samples from the same noise, balance, collapse.

Everything here is made from generators that noisy sums have already paid for; no record is looked at. It lies
in the coordinator's folder: ``progress.jsonl``, a line for each look, and ``samples/STEP.png``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import array_output
from common.array_generator import ReleasedArrays
from common.evaluation.alarms import alarms
from common.modalities.array_layout import ArrayLayout
from common.models.arrays import new_generator
from common.models.pair import load
from common.phases import ArrayModel
from common.plan import Plan
from common.schema import ArraySchema

from .adversary import Adversary

_LOOKS = 50  # at most in the rounds of a run
_SEEN = 64  # samples of each class for the monitor
_TOO_EASY, _TOO_HARD = 0.98, 0.55  # share of fakes that D tells


def due(number: int, rounds: int) -> bool:
    """Whether to look after a round: the last, and at most so many before it."""
    return number == rounds or number % max(1, math.ceil(rounds / _LOOKS)) == 0


def look(
    folder: Path,
    step: str,
    plan: Plan,
    schema: ArraySchema,
    average: NDArray[np.float32],
    prior: NDArray[np.float64],
    adversary: Adversary | None,
) -> dict[str, Any]:
    """Write samples of every class from fixed noise, and a line with balance and alarms. Returns the line.

    Raises StorageError.
    """
    assert isinstance(plan.model, ArrayModel)
    generator = new_generator(ArrayLayout.of(schema), plan.model)
    load(generator, average)
    facts = {"plan": plan.hash, "epsilon": plan.privacy.epsilon, "delta": plan.privacy.delta}
    released = ReleasedArrays(schema, plan.model, generator, prior, {**facts, "unit": plan.privacy.unit})
    array_output.write_gallery(released, folder / "samples" / f"{step}.png", plan.seed)
    seen = released.sample(_SEEN * schema.classes, {}, plan.seed)
    line = {"step": step, "alarms": alarms(seen, schema, prior), **_balance(adversary)}
    with open(folder / "progress.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return line


def _balance(adversary: Adversary | None) -> dict[str, Any]:
    """How well D tells fakes: looks at fakes alone, so it is free."""
    if adversary is None:
        return {}
    told, advice = adversary.accuracy, ""
    if told > _TOO_EASY:
        advice = (
            "D tells nearly every fake: more generator steps, label flips, or a smaller discriminator rate"
        )
    elif told < _TOO_HARD:
        advice = "D tells fakes no better than chance: its steps are all noise, or G has caught up"
    return {"fakes_told": round(told, 4), "generator_steps": adversary.generator_steps, "advice": advice}
