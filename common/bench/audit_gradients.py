"""Audits of schedule ``every-step``: canaries in one run, and one record over one epoch.

The attacker is the coordinator with ``collusion`` sites. It chooses the discriminator it asks about, so that
records' gradients fill coordinates of their own, and knows all noise but that of ``shares`` honest sites.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from ..columns import CategoryColumn
from ..contributions import encoding
from ..csprng import Csprng
from ..holdout import Split
from ..modalities.grouping import Grouping
from ..modalities.layout import Layout
from ..modalities.tabular import Codes
from ..phases import EveryStep
from ..plan import Plan, train_step
from ..privacy.accounting import calibrate
from ..privacy.ledger import Receipt
from ..privacy.mechanism import SampledGaussian
from ..records import Records
from ..schema import TableSchema
from ..states import StepState
from .audit_bounds import Scores, epsilon_from_errors, errors_at, one_run_epsilon
from .audit_settings import DELTA, Finding, base_plan, claimed, receipts, small_schema

Array = NDArray[np.float64]
Build = Callable[[], AbstractContextManager[Any]]
"""What is broken while the build runs; ``nullcontext`` for the product as it is."""

SOUND: Build = nullcontext

_FIELD_BITS = 28
_STEEP = 1000.0  # how much of a gradient lies in the first layer: all but 1e-3 of it

_SHARES = 2
_STEPS, _RATE = 16, 0.25
_WIDE_COLUMNS = 7  # in each of which every canary has a code of its own
_CODES = 1 << 14  # of a schema of canaries
_FEWEST_CANARIES, _MOST_CANARIES = 100, _CODES // 2 - 2
_IN, _OUT = 0.09, 0.01
"""Shares of the canaries that are guessed; few out, as one that is in may miss all 16 samples (1 %)."""

EPOCH_DELTA = 0.7
"""Above 1 - (1 - 1/5)**5 = 0.672, the probability that Poisson sampling takes a record at all in the epoch:
so far apart, in total variation, are neighbours at most, and the claim is epsilon 0 whatever the noise."""
_EPOCH = 5
_EPOCH_NOISE = 0.15


def no_clipping() -> AbstractContextManager[Any]:
    """Broken: the sum of whole gradients, in clipping norms."""
    contribution = import_module("client.contribution")
    product = contribution.sum_of_clipped_grads
    never = 1e9

    def whole(
        codes: Codes, schema: TableSchema, plan: Plan, state: bytes, train: EveryStep, device: object
    ) -> Array:
        loose = train.model_copy(update={"max_grad_norm": never})
        return np.asarray(product(codes, schema, plan, state, loose, device) * (never / train.max_grad_norm))

    return patch.object(contribution, "sum_of_clipped_grads", whole)


def shuffled() -> AbstractContextManager[Any]:
    """Broken: each record exactly once in an epoch of 1 / sample_rate steps, at a random one of them."""
    taken = 0
    slots = np.zeros(0, np.uint64)

    def sampled(records: Records, rate: float, random: Csprng) -> Codes:
        nonlocal taken, slots
        epoch = round(1 / rate)
        if taken % epoch == 0:
            slots = random.below(epoch, records.units)
        chosen = slots == taken % epoch
        taken += 1
        return np.asarray(records.rows[records.starts[:-1][chosen]])

    return patch.object(Records, "sampled", sampled)


def one_run(build: Build, target: float, canaries: int, seed: int, failure: float) -> Finding:
    """Canaries by fair coins in one run of 16 steps (Steinke, Nasr and Jagielski 2023, algorithm 1).

    canaries: how many; the score of each is the sum over steps of the inner product of what was opened with
    the canary's own direction. The numbers of guesses are fixed shares of ``canaries``.
    """
    count = min(max(canaries, _FEWEST_CANARIES), _MOST_CANARIES)
    columns = max(1, min(_WIDE_COLUMNS, (_CODES - 2) // count))
    schema = _wide_schema(count, columns)
    noise = calibrate(lambda sigma: [_steps(sigma, _RATE, _STEPS)], target, DELTA)
    plan = _plan(schema, noise, _RATE, _STEPS, _SHARES, room=float(max(8, count)))
    included = np.random.default_rng(seed).random(count) < 0.5
    codes = np.repeat(np.arange(count)[:, None], columns, axis=1)
    codes = np.append(codes, np.zeros((count, 1), np.int64), axis=1)
    sites = [Records.of(codes[included & (np.arange(count) % _SHARES == site)]) for site in range(_SHARES)]
    total = np.zeros(_parameters(schema))
    with build(), receipts(plan) as receipt:
        for released in _run(plan, schema, sites, receipt):
            total += released
    offsets = np.arange(columns) * count
    own = np.arange(count)[:, None] + offsets
    scores = -total[own].sum(axis=1)  # the loss falls along every record's own weights
    order = np.argsort(scores)
    few, many = round(_OUT * count), round(_IN * count)
    right = int((~included[order[:few]]).sum() + included[order[count - many :]].sum())
    return Finding(
        claimed_epsilon=claimed(plan.mechanisms[-_STEPS:]),
        lower_bound=one_run_epsilon(count, few + many, right, DELTA, failure),
        delta=DELTA,
        observed={"canaries": count, "guesses": few + many, "right": right},
    )


def epoch(build: Build, trials: int, failure: float) -> Finding:
    """One record or none at the only honest site, over one epoch of 5 steps with little noise.

    Under Poisson sampling the record is absent from the whole epoch with probability 0.328 and then nobody
    can tell; under shuffling never (Chua et al. 2024). Visible at a large delta, see ``EPOCH_DELTA``.
    trials: on each of both data sets, independent runs
    """
    schema = small_schema()
    plan = _plan(schema, _EPOCH_NOISE, 1 / _EPOCH, _EPOCH, shares=1, room=8.0)
    record = np.array([schema.sizes]) - 1
    gradient = import_module("client.gradient").sum_of_clipped_grads(
        record, schema, plan, _state(schema), plan.train
    )
    worlds: list[Scores] = []
    for codes in (record[:0], record):
        with build(), receipts(plan) as receipt:
            runs = [_run(plan, schema, [Records.of(codes)], receipt) for _ in range(trials)]
        worlds.append(_likelihood_ratio(np.array(runs) @ gradient))
    errors = errors_at(0.0, *worlds)  # fixed in advance: "in" where that is likelier
    return Finding(
        claimed_epsilon=claimed(plan.mechanisms[-_EPOCH:], EPOCH_DELTA),
        lower_bound=epsilon_from_errors(*errors.upper(failure), EPOCH_DELTA),
        delta=EPOCH_DELTA,
        observed={"false_in": errors.false_in, "false_out": errors.false_out, "trials": errors.inside},
    )


def _likelihood_ratio(products: Array) -> Scores:
    """Log of P(with) / P(without) under Poisson sampling: [trials], from inner products [trials, steps]."""
    rate, square = 1 / _EPOCH, _EPOCH_NOISE**2
    ratios = np.log1p(rate * np.expm1(np.minimum((products - 0.5) / square, 500.0)))
    return np.asarray(ratios.sum(axis=1))


def _run(
    plan: Plan, schema: TableSchema, sites: list[Records], receipt: Callable[[str], Receipt]
) -> list[Array]:
    """All steps of D through the sites' own code, from charge to integers: the sums as they are opened."""
    task = import_module("client.contribution").task
    state = _state(schema)
    released = []
    for number in range(1, plan.rounds + 1):
        step = train_step(number)
        work = task(step, plan)
        updates = [
            work.run(Split.trained_on(records), schema, plan, state, receipt(step)).integers
            for records in sites
        ]
        total = np.sum(updates, axis=0)
        released.append(encoding(step, schema, plan).sum_to_values(total, len(sites)))
    return released


def _wide_schema(count: int, columns: int) -> TableSchema:
    codes = tuple(range(count))
    wide = [CategoryColumn(name=f"own_{i}", categories=codes) for i in range(columns)]
    return TableSchema(
        name="canaries",
        columns=(*wide, CategoryColumn(name="group", categories=(0, 1), condition=True)),
    )


def _steps(noise: float, rate: float, steps: int) -> SampledGaussian:
    return SampledGaussian(noise_multiplier=noise, sample_rate=rate, steps=steps)


def _plan(schema: TableSchema, noise: float, rate: float, steps: int, shares: int, room: float) -> Plan:
    """The product's plan with this noise; room: of one coordinate of a site's sum, in clipping norms."""
    base = base_plan(small_schema(), "every-step", shares)
    assert base.train is not None
    changes = {
        "rounds": steps,
        "sample_rate": rate,
        "noise_multiplier": noise,
        "sum_limit": room,
        "field_bits": _FIELD_BITS,
    }
    train = base.train.model_copy(update=changes)
    return base.model_copy(update={"schema_hash": schema.hash, "train": train})


def _parameters(schema: TableSchema) -> int:
    """Of a discriminator with one hidden unit: its weights and bias, then those of the output."""
    return Layout.of(schema).width + 3


def _state(schema: TableSchema) -> bytes:
    """A discriminator in which every record's gradient is the same on its own codes and the bias, and large.

    The hidden unit is 1 for everybody and the logit 0.
    """
    discriminator = np.zeros(_parameters(schema), np.float32)
    discriminator[-3:] = 1.0, _STEEP, -_STEEP
    return StepState(grouping=Grouping.of_itself(schema), entered=discriminator).to_bytes()
