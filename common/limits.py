"""What a plan may ask of a machine, and that all of its parts are for the same kind of records.

Checked when a plan is made and, as anybody can write one, at every site before anything is spent or made.
Time is not bounded: rounds, steps and views stand in the plan that a steward approves.
"""

from __future__ import annotations

import math

from .contributions import NoisySum, encoding, layout_of
from .crypto import ring
from .crypto.parameters import MOST_CIPHERTEXTS
from .errors import ConfigError, HeadroomError
from .evaluation.task import check_task
from .modalities.array_layout import ArrayLayout
from .modalities.frequencies import MOST_NUMBERS
from .modalities.frequencies import count as frequencies
from .modalities.layout import Layout
from .models.build import PLAIN, check_objective
from .models.sizes import generator_size, judge_size
from .phases import ArrayMeasure, ArrayModel, Local, Measure
from .plan import Plan
from .privacy.mechanism import GaussianSum
from .protocol.messages import LARGEST
from .schema import ArraySchema, ImageSchema, Schema, TableSchema

MOST_PARAMETERS = 1 << 26
"""Of all networks."""

_MOST_GRADIENTS = 1 << 30  # of fakes, in a round of schedule ``local``, which holds them all at once
_MOST_COMBINATIONS = 1 << 20  # of conditions
_MOST_SHOWN = 1 << 26  # values of synthetic records that an evaluation sends
_BATCH = 1024  # records whose features are made at once
_WAVES = 4  # arrays of cosines of a batch that are in memory together


def check_plan(plan: Plan, schema: Schema) -> None:
    """Raise ConfigError or HeadroomError unless a site can do what the plan asks, with these records."""
    check_parts(plan, schema)
    check_sums(plan, schema)


def check_parts(plan: Plan, schema: Schema) -> None:
    """Raise ConfigError unless all parts are for this kind of records, and small enough to be made."""
    array = isinstance(schema, ArraySchema)
    parts = (isinstance(plan.model, ArrayModel), isinstance(plan.measure, ArrayMeasure), plan.count is None)
    before = plan.continues is None or (plan.continues.count_noise is None) == array
    if any(part != array for part in parts) or not before:
        raise ConfigError(
            f"model, count, measure and continues must all be for {'arrays' if array else 'tables'}, "
            "as the schema is"
        )
    if isinstance(plan.measure, ArrayMeasure) and plan.measure.views and not isinstance(schema, ImageSchema):
        raise ConfigError("measure.views: views are for images")
    if isinstance(schema, TableSchema) and isinstance(plan.measure, Measure):
        _check_split(plan.measure, schema)
    layout, train = layout_of(schema), plan.train
    schedule, objective = (train.schedule, train.objective) if train else ("moments", PLAIN)
    check_objective(layout, schedule, objective, plan.model)
    _check_release(plan, schema)
    for name, numbers, most in _claims(plan, layout):
        if numbers > most:
            raise ConfigError(
                f"{name}: {numbers} numbers at once, at most {most} are allowed",
                hint="smaller networks, fewer features, or fewer columns",
            )


def check_sums(plan: Plan, schema: Schema) -> None:
    """Raise HeadroomError if the sums are too many, too long, or could not be opened exactly."""
    encodings = {step: encoding(step, schema, plan) for step in plan.kinds}
    chunks = {step: found.packing.chunks for step, found in encodings.items()}
    if sum(times * chunks[step] for step, times in plan.kinds.items()) > MOST_CIPHERTEXTS:
        raise HeadroomError(
            f"the sums of this run need more than {MOST_CIPHERTEXTS} ciphertexts",
            hint="fewer rounds or smaller networks",
        )
    longest = max(chunks.values()) * ring.byte_length(2, len(ring.DATA_PRIMES), ring.N)
    if longest > LARGEST - (1 << 20):
        raise HeadroomError(
            f"a contribution would have {longest} bytes, more than a message may have",
            hint="smaller networks, or fewer columns and bins",
        )
    for found in encodings.values():
        if isinstance(found, NoisySum):
            _ = found.grid


def _check_release(plan: Plan, schema: Schema) -> None:
    """Raise ConfigError unless the evaluation is for these records, and the signatures can be had."""
    if plan.release.signatures > len(plan.federation.sites):
        raise ConfigError(
            f"release.signatures: {plan.release.signatures} of {len(plan.federation.sites)} sites",
            hint="at most as many as there are sites",
        )
    if (evaluate := plan.release.evaluate) is None:
        return
    sums = [mechanism for mechanism in plan.mechanisms if isinstance(mechanism, GaussianSum)]
    together = sum(mechanism.noise_multiplier**-2 for mechanism in sums)
    if (evaluate.held_out_gain / evaluate.noise_multiplier) ** 2 > together * (1 + 1e-9):
        raise ConfigError("release.evaluate.held_out_gain: records held out would cost more than is charged")
    if isinstance(schema, TableSchema):
        if evaluate.task is not None:
            check_task(schema, evaluate.task)
    elif evaluate.task is not None:
        raise ConfigError("release.evaluate: images and signals are judged by their label, without a task")


def _check_split(measure: Measure, schema: TableSchema) -> None:
    names = [condition.name for condition in schema.conditions]
    if len(set(measure.split)) < len(measure.split) or not set(measure.split) <= set(names):
        raise ConfigError("measure.split: not some of the schema's conditions")
    if len(schema.columns) < len(measure.split) + 2:
        raise ConfigError("measure.split: at least two columns must remain")


def _claims(plan: Plan, layout: Layout | ArrayLayout) -> list[tuple[str, int, int]]:
    """(Part of the plan, numbers in its largest array, how many there may be)."""
    judge = judge_size(layout, plan.model)
    found = [("model", generator_size(layout, plan.model) + judge, MOST_PARAMETERS)]
    if plan.release.evaluate is not None:
        each = layout.values + 1 if isinstance(layout, ArrayLayout) else len(layout.sizes)
        found.append(("release.evaluate.records", plan.release.evaluate.records * each, _MOST_SHOWN))
    if isinstance(plan.train, Local):
        each = layout.width + judge
        found.append(("train.fakes", plan.train.fakes * each, _MOST_GRADIENTS))
        found.append(("train.generator_batch", plan.train.generator_batch * layout.width, MOST_NUMBERS))
    if isinstance(layout, ArrayLayout):
        assert isinstance(plan.measure, ArrayMeasure)
        return [*found, *array_claims(plan.measure, layout)]
    assert isinstance(plan.measure, Measure)
    found.append(("conditions", math.prod(layout.conditions), _MOST_COMBINATIONS))
    # split conditions are some of all, so that this is an upper bound
    classes = math.prod(layout.conditions) if plan.measure.split else 1
    return [*found, ("measure", classes * layout.width**2, 4 * MOST_NUMBERS)]


def array_claims(measure: ArrayMeasure, layout: ArrayLayout) -> list[tuple[str, int, int]]:
    """The same of a feature map of images or signals."""
    kept, waves = frequencies(layout, measure.coefficients), measure.plain + measure.windowed
    block = (kept + 1) * (kept + 2) // 2 + 2 * waves + 1
    return [
        ("measure.coefficients", kept * max(kept, layout.values), MOST_NUMBERS),
        ("measure.windowed", max(kept, layout.values) * waves, MOST_NUMBERS),
        ("measure.plain", _WAVES * _BATCH * waves, MOST_NUMBERS),
        ("measure", layout.classes * block, MOST_NUMBERS),
    ]
