"""What a site computes for a step: charged first, noised, and returned only as a private update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from common.contributions import (
    evaluate_encoding,
    evaluation_features,
    feature_encoding,
    gradient_encoding,
    histograms,
    measured,
)
from common.csprng import Csprng
from common.errors import MalformedMessageError
from common.holdout import Split
from common.modalities.batches import batch, sum_of_batches
from common.modalities.layout import Layout
from common.phases import EveryStep, Local
from common.plan import COUNT_STEP, EVALUATE_STEP, MEASURE_STEP, MOST_ATTEMPTS, Plan, attempted
from common.privacy.ledger import Receipt
from common.privacy.mechanism import Mechanism
from common.privacy.update import PrivateUpdate
from common.records import Records
from common.schema import Schema, TableSchema
from common.states import EvaluateState, MeasureState

from .device import Device
from .gradient import sum_of_clipped_grads
from .training import train_locally


@dataclass(frozen=True, slots=True)
class Task:
    """One step of a plan, as a site sees it: what it costs and how it is computed.

    step: as planned, whichever attempt this is; run: on the records of both sides
    """

    step: str
    mechanism: Mechanism
    run: Callable[[Split, Schema, Plan, bytes, Receipt], PrivateUpdate]


def task(step: str, plan: Plan, device: Device | None = None) -> Task:
    """The task of a step of this plan, or of another attempt at it. Raises MalformedMessageError.

    device: where gradients are computed; a GPU if there is one, unless given
    """
    planned, number = attempted(step)
    if number > MOST_ATTEMPTS:
        raise MalformedMessageError(f"a step is tried {MOST_ATTEMPTS} times at most")
    if (mechanism := plan.steps.get(planned)) is None:
        raise MalformedMessageError(f"the plan has no step {step!r}")
    return Task(planned, mechanism, _work(planned, plan, device))


def _work(
    step: str, plan: Plan, device: Device | None
) -> Callable[[Split, Schema, Plan, bytes, Receipt], PrivateUpdate]:
    if step == EVALUATE_STEP:
        return evaluate
    on_training = _of_training(step, plan, device)

    def run(split: Split, schema: Schema, plan: Plan, state: bytes, receipt: Receipt) -> PrivateUpdate:
        return on_training(split.training, schema, plan, state, receipt)

    return run


def _of_training(
    step: str, plan: Plan, device: Device | None
) -> Callable[[Records, Schema, Plan, bytes, Receipt], PrivateUpdate]:
    """What never sees a record that is held out."""
    if step == COUNT_STEP:
        return count
    if step == MEASURE_STEP:
        return measure
    if isinstance(plan.train, EveryStep):
        return partial(discriminate, train=plan.train, device=device)
    assert isinstance(plan.train, Local)
    return partial(train_locally, train=plan.train, device=device)


def count(records: Records, schema: Schema, plan: Plan, state: bytes, receipt: Receipt) -> PrivateUpdate:
    """How often each code of each column occurs, with this site's share of integer noise.

    Guarantees: a unit moves the exact values by at most 1 (L2); noise comes from a CSPRNG.
    """
    del state
    assert plan.count is not None
    phi = histograms(schema)
    encoding = feature_encoding(phi, plan, plan.count)
    exact = phi.sum(records.rows, records.weights)
    return PrivateUpdate(encoding.grid.to_integers(exact, Csprng()), receipt)


def measure(records: Records, schema: Schema, plan: Plan, state: bytes, receipt: Receipt) -> PrivateUpdate:
    """The sum of the modality's features over records, with this site's share of integer noise.

    Of a table: how often each pair of grouped codes occurs.
    Guarantees: a unit moves the exact values by at most 1 (L2); noise comes from a CSPRNG.
    """
    phi = measured(schema, plan)
    encoding = feature_encoding(phi, plan, plan.measure)
    if isinstance(schema, TableSchema):
        layout, grouping = Layout.of(schema), MeasureState.from_bytes(state, schema).grouping
        size = batch(layout.width)
        exact = sum_of_batches(
            phi,
            records.rows,
            records.weights,
            size,
            lambda rows: layout.to_model(grouping.to_groups(rows, schema)),
        )
    else:
        exact = phi.sum(records.rows, records.weights)
    return PrivateUpdate(encoding.grid.to_integers(exact, Csprng()), receipt)


def discriminate(
    records: Records,
    schema: Schema,
    plan: Plan,
    state: bytes,
    receipt: Receipt,
    train: EveryStep,
    device: Device | None = None,
) -> PrivateUpdate:
    """The sum of clipped gradients over a Poisson sample of records, with a share of integer noise.

    Guarantees: a unit enters with at most one record and moves the exact values by at most 1 (L2), in
    clipping norms; sampling and noise come from a CSPRNG.
    """
    random = Csprng()
    sampled = records.sampled(train.sample_rate, random)
    exact = sum_of_clipped_grads(sampled, schema, plan, state, train, device)
    encoding = gradient_encoding(schema, plan, train)
    return PrivateUpdate(encoding.grid.to_integers(exact, random), receipt)


def evaluate(split: Split, schema: Schema, plan: Plan, state: bytes, receipt: Receipt) -> PrivateUpdate:
    """How released synthetic records do on both sides, as bounded counts with a share of integer noise.

    Guarantees: a unit trained on moves the exact values by at most 1 (L2), one held out, which enters nothing
    else, by at most ``held_out_gain``; noise comes from a CSPRNG.
    """
    asked = plan.release.evaluate
    assert asked is not None
    synthetic = EvaluateState.from_bytes(state, schema, asked.records, judged=plan.rounds > 0).rows
    phi = evaluation_features(schema, plan)
    exact = phi.sum(split, synthetic)
    grid = evaluate_encoding(phi, plan, asked).grid
    return PrivateUpdate(grid.to_integers(exact, Csprng()), receipt)
