"""What a practitioner watches while a run goes: samples from the same noise, balance, collapse.

Everything here is made from generators that noisy sums have already paid for; no record is looked at. The
samples lie in the coordinator's folder, ``samples/STEP.png``, or ``.csv`` of a table; the rest is an event.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from common import array_output
from common.array_generator import ReleasedArrays
from common.contributions import layout_of
from common.durable import write_whole
from common.errors import ImpossibleConditionError
from common.evaluation.alarms import alarms
from common.events import Alarm, Looked, emit
from common.generator import ReleasedGenerator
from common.models.array_generator import ArrayGenerator
from common.models.pair import Pair, load
from common.phases import ArrayModel, Model
from common.plan import Plan
from common.schema import ArraySchema, Schema, TableSchema

from .checkpoint import Checkpoint
from .measured import Measured, TableMeasured

_LOOKS = 50  # at most in the rounds of a run
_SEEN = 64  # samples of each class for the monitor
_ROWS = 12  # of a table
_TOO_EASY, _TOO_HARD = 0.98, 0.55  # share of fakes that D tells


def due(number: int, rounds: int) -> bool:
    """Whether to look after a round: the last, and at most so many before it."""
    return number == rounds or number % max(1, math.ceil(rounds / _LOOKS)) == 0


def look(step: str, plan: Plan, schema: Schema, state: Checkpoint, measured: Measured) -> None:
    """Write samples from fixed noise, of every class of images or signals, and tell of balance and alarms.

    Raises StorageError.
    """
    assert state.average is not None
    generator = Pair.new(layout_of(schema), plan.model, plan.seed).generator
    load(generator, state.average)
    facts = {
        "plan": plan.hash,
        "epsilon": plan.privacy.epsilon,
        "delta": plan.privacy.delta,
        "unit": plan.privacy.unit,
    }
    name = f"samples/{step}.{'csv' if isinstance(schema, TableSchema) else 'png'}"
    path = state.path.parent / name
    found: tuple[Alarm, ...] = ()
    if isinstance(schema, ArraySchema):
        assert isinstance(plan.model, ArrayModel)
        assert isinstance(generator, ArrayGenerator)
        arrays = ReleasedArrays(schema, plan.model, generator, measured.prior, facts)
        array_output.write_gallery(arrays, path, plan.seed)
        found = _alarms(arrays, plan.seed)
    else:
        assert isinstance(schema, TableSchema)
        assert isinstance(plan.model, Model)
        assert isinstance(measured, TableMeasured)
        assert not isinstance(generator, ArrayGenerator)
        table = ReleasedGenerator(schema, plan.model, generator, measured.prior, measured.grouping, facts)
        name = name if _write_rows(table, path, plan.seed) else ""
    emit(Looked(step=step, samples=name, alarms=found, **_balance(state)))


def _write_rows(generator: ReleasedGenerator, path: Path, seed: int) -> bool:
    """Whether there are any: a young generator may draw none that satisfies all constraints."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        rows = generator.sample(_ROWS, {}, seed)
    except ImpossibleConditionError:
        return False
    write_whole(path, lambda target: rows.to_csv(target, index=False))
    return True


def _alarms(generator: ReleasedArrays, seed: int) -> tuple[Alarm, ...]:
    schema = generator.schema
    seen = generator.sample(_SEEN * schema.classes, {}, seed)
    return tuple(
        Alarm(of="" if one["class"] is None else str(one["class"]), alarm=one["kind"], advice=one["advice"])
        for one in alarms(seen, schema, generator.prior)
    )


def _balance(state: Checkpoint) -> dict[str, Any]:
    """How well D tells fakes: looks at fakes alone, so it is free."""
    adversary = state.adversary
    if adversary is None or not state.rounds_done:
        return {}
    told, advice = adversary.accuracy, ""
    if told > _TOO_EASY:
        advice = (
            "D tells nearly every fake: more generator steps, label flips, or a smaller discriminator rate"
        )
    elif told < _TOO_HARD:
        advice = "D tells fakes no better than chance: its steps are all noise, or G has caught up"
    pace = round(adversary.generator_steps / state.rounds_done, 2)
    return {"fakes_told": round(told, 4), "generator_steps": pace, "advice": advice}
