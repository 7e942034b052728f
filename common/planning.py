"""From what a person wants to a complete plan: noise calibrated, packing and bounds chosen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from . import array_plan, table_plan
from .config import SimulationConfig
from .contributions import NoisySum, array_features, encoding, histograms
from .errors import ConfigError, HeadroomError, PrivacyTargetError
from .limits import check_parts, check_sums
from .phases import Count, EveryStep, Local, Objective, Train
from .plan import COUNT_STEP, EVALUATE_STEP, MEASURE_STEP, Federation, Party, Plan, Privacy, train_step
from .privacy.accounting import calibrate, check_target, epsilon, rounded_up
from .privacy.mechanism import GaussianSum, Mechanism, SampledGaussian
from .release_terms import Evaluate, ReleaseTerms
from .run_config import RunConfig
from .schema import ArraySchema, Schema, TableSchema
from .toml_file import first_problem

if TYPE_CHECKING:
    from .earlier import Earlier

_MOST_RECORDS = 20  # a site may hold so many times the least it must hold
_UPDATE_LIMIT = 9.0
_FIELD_BITS = (14, 18, 28)  # four, three or two values a slot
_FEWEST_LEVELS = 1000  # of an update of schedule ``local``
_SHOWN, _FEWEST_SHOWN, _SHOWN_VALUES = 10_000, 100, 1 << 22  # synthetic records, and values, of an evaluation
_LEAST_SIGNAL = 3.0  # units in the federation / noise of their number: below, nothing can be learnt


def federation_of(config: RunConfig, coordinator: Party, sites: Iterable[Party]) -> Federation:
    """The federation of a configuration. Raises ConfigError if its numbers do not fit together."""
    roster = tuple(sites)
    try:
        return Federation(coordinator=coordinator, sites=roster, **config.committee_of(len(roster)))
    except ValidationError as error:
        raise ConfigError(f"federation: {first_problem(error)}") from error


def stand_in(config: SimulationConfig) -> Federation:
    """A roster of made-up identities; everything else as configured."""
    made_up = (Party(name=f"site-{i}", identity=f"{i:064x}") for i in range(1, config.sites.count + 1))
    return federation_of(config, Party(name="coordinator", identity=f"{0:064x}"), made_up)


def make_plan(
    config: RunConfig,
    schema: Schema,
    federation: Federation,
    run: str,
    before: Earlier | None = None,
    *,
    rehearsal: bool = False,
) -> Plan:
    """The plan of a configuration.

    before: what it continues; the configured epsilon is then of this run alone, the plan's that of
    everything together, and the feature map is the earlier one;
    rehearsal: on records that sites make up
    Raises PrivacyTargetError if the target cannot be met, HeadroomError if its sums could not be opened
    exactly, would lose precision to rounding, or are too long for a message.
    """
    wanted, training = config.privacy, config.training
    check_target(wanted.epsilon, wanted.delta)
    config.check_kind(isinstance(schema, ArraySchema))
    noise = _noise(config, isinstance(schema, TableSchema))
    draft = Plan(
        run=run,
        schema_hash=schema.hash,
        federation=federation,
        privacy=Privacy(epsilon=wanted.epsilon, delta=wanted.delta, unit=schema.unit),
        **_modality(config, schema, noise, len(federation.sites), before),
        train=_train(config, noise.train, len(federation.sites)) if training.rounds else None,
        min_records=training.records_per_site,
        max_records=_most(config),
        seed=config.seed,
        continues=before.continues if before else None,
        release=_release(config, schema, noise.evaluate, federation),
        rehearsal=rehearsal,
    )
    check_parts(draft, schema)
    _check_signal(draft, schema)
    plan = _narrowed(draft, schema)
    check_sums(plan, schema)
    return _promising_all(plan)


def _promising_all(plan: Plan) -> Plan:
    """The same plan; of a continued run, with the epsilon of everything that its release will rest on."""
    if plan.continues is None:
        return plan
    together = rounded_up(epsilon(plan.charged({}, plan.rounds), plan.privacy.delta))
    return plan.model_copy(update={"privacy": plan.privacy.model_copy(update={"epsilon": together})})


def _modality(
    config: RunConfig, schema: Schema, noise: _Noise, sites: int, before: Earlier | None
) -> dict[str, Any]:
    """Networks and sums before training: ``model``, ``count``, ``measure``."""
    widest = _FIELD_BITS[-1]
    if isinstance(schema, ArraySchema):
        return {
            "model": array_plan.model(config, schema),
            "count": None,
            "measure": array_plan.measure(config, schema, noise.measure, widest),
        }
    assert isinstance(schema, TableSchema)
    units = _expected(config.training.records_per_site, _most(config), sites)
    return {
        "model": table_plan.model(config, schema),
        "count": Count(noise_multiplier=noise.count, field_bits=widest),
        "measure": table_plan.measure(
            config, schema, noise.measure, widest, units, before.condition_weight if before else None
        ),
    }


def _train(config: RunConfig, noise: float, sites: int) -> Train:
    training = config.training
    batch = max(1, round(training.sample_rate * training.records_per_site))
    most = _most(config)
    if training.schedule == "every-step":
        return EveryStep(
            objective=_objective(config, real_target=0.9),
            rounds=training.rounds,
            sample_rate=training.sample_rate,
            noise_multiplier=noise,
            max_grad_norm=1.0,
            sum_limit=max(8.0, 0.5 * training.sample_rate * most),
            fakes=min(1024, max(64, batch * sites)),
            generator_steps=2 if training.generator_steps is None else training.generator_steps,
            generator_batch=128,
            easy=0.55,
            discriminator_learning_rate=1e-3,
            generator_learning_rate=1e-4,
            anchor=10.0,
            field_bits=_FIELD_BITS[-1],
            average_decay=0.95,
        )
    return Local(
        objective=_objective(config, real_target=1.0),
        rounds=training.rounds,
        local_steps=training.local_steps,
        generator_steps=10 if training.generator_steps is None else training.generator_steps,
        sample_rate=training.sample_rate,
        noise_multiplier=noise,
        max_grad_norm=1.0,
        expected_batch_size=batch,
        fakes=batch,
        generator_batch=128,
        discriminator_learning_rate=0.7,
        generator_learning_rate=1e-4,
        anchor=10.0,
        update_limit=_UPDATE_LIMIT,
        field_bits=local_field_bits(sites),
        average_decay=0.7,
    )


def _objective(config: RunConfig, real_target: float) -> Objective:
    return Objective(real_target=real_target, **config.adversarial.model_dump())


def _release(config: RunConfig, schema: Schema, noise: float, federation: Federation) -> ReleaseTerms:
    wanted, evaluate = config.release, None
    if wanted.evaluate_share:
        most = _SHOWN
        if isinstance(schema, ArraySchema):
            most = max(_FEWEST_SHOWN, min(_SHOWN, _SHOWN_VALUES // math.prod(schema.shape)))
        evaluate = Evaluate(
            noise_multiplier=noise,
            held_out_gain=wanted.evaluate_share**-0.5 * (1 - 1e-12),
            field_bits=_FIELD_BITS[-1],
            records=most,
            task=config.evaluation,
        )
    signatures = federation.threshold if wanted.signatures is None else wanted.signatures
    return ReleaseTerms(holdout=wanted.holdout, evaluate=evaluate, gate=wanted.gate, signatures=signatures)


@dataclass(frozen=True, slots=True)
class _Noise:
    """Noise multipliers of a plan's mechanisms; 1 where a plan has none."""

    count: float
    measure: float
    evaluate: float
    train: float


def _noise(config: RunConfig, counted: bool) -> _Noise:
    """Noise multipliers of all sums and of DP-SGD that together meet the target.

    Gaussian sums compose by adding 1 / noise_multiplier**2, which is what evaluate_share and count_share
    share out; without a count step (images, signals) what is left of it is measuring's.
    """
    wanted, training = config.privacy, config.training
    share = wanted.measure_share if training.rounds else 1.0
    counted_share = wanted.count_share if counted else 0.0
    evaluate = config.release.evaluate_share
    parts = ((1 - evaluate) * counted_share, (1 - evaluate) * (1 - counted_share), evaluate)

    def measured(sigma: float) -> list[Mechanism]:
        return [GaussianSum(noise_multiplier=sigma / math.sqrt(part)) for part in parts if part]

    whole, train = calibrate(measured, share * wanted.epsilon, wanted.delta), 1.0
    if training.rounds:
        steps = training.rounds * (1 if training.schedule == "every-step" else training.local_steps)

        def everything(sigma: float) -> list[Mechanism]:
            trained = SampledGaussian(noise_multiplier=sigma, sample_rate=training.sample_rate, steps=steps)
            return [*measured(whole), trained]

        train = calibrate(everything, wanted.epsilon, wanted.delta)
    count, measure, last = (whole / math.sqrt(part) if part else 1.0 for part in parts)
    return _Noise(count, measure, last, train)


def _most(config: RunConfig) -> int:
    """Records that any site holds at most."""
    return config.training.most_records_per_site or _MOST_RECORDS * config.training.records_per_site


def _expected(least: int, most: int, sites: int) -> int:
    """Units of all sites: nobody counts them before the run; one is taken to hold the geometric mean."""
    return round(math.sqrt(least * most)) * sites


def _check_signal(plan: Plan, schema: Schema) -> None:
    """Raise PrivacyTargetError if the noise is so strong that not even the number of units would show."""
    units = _expected(plan.min_records, plan.max_records, len(plan.federation.sites))
    if plan.count is not None:
        first, singles = plan.count.mechanism, histograms(schema)
        weight = float(np.sum(singles.weights**2 / np.array(singles.sizes)) ** 0.5)
    else:
        first, weight = plan.measure.mechanism, 1 / array_features(schema, plan).count_noise
    needed = _LEAST_SIGNAL / (units * weight)
    if first.noise_multiplier * needed <= 1.0:
        return
    least = epsilon([GaussianSum(noise_multiplier=1.0 / needed)], plan.privacy.delta)
    ratio = plan.privacy.epsilon / epsilon([first], plan.privacy.delta)
    raise PrivacyTargetError(
        f"epsilon {plan.privacy.epsilon:g} cannot be reached with about {units} {schema.unit.split()[-1]}s: "
        f"the noise would hide how many there are; the smallest that can is about {least * ratio:.2g}",
        hint="more records (training.records_per_site), fewer columns, or a larger epsilon",
    )


def _narrowed(plan: Plan, schema: Schema) -> Plan:
    """The same plan with the narrowest fields in which each sum fits."""
    measure = plan.measure.model_copy(update={"field_bits": _bits(plan, schema, MEASURE_STEP)})
    changes: dict[str, object] = {"measure": measure}
    if plan.count is not None:
        bits = _bits(plan, schema, COUNT_STEP)
        changes["count"] = plan.count.model_copy(update={"field_bits": bits})
    if isinstance(plan.train, EveryStep):
        changes["train"] = plan.train.model_copy(update={"field_bits": _bits(plan, schema, train_step(1))})
    if (evaluate := plan.release.evaluate) is not None:
        narrow = evaluate.model_copy(update={"field_bits": _bits(plan, schema, EVALUATE_STEP)})
        changes["release"] = plan.release.model_copy(update={"evaluate": narrow})
    return plan.model_copy(update=changes)


def _bits(plan: Plan, schema: Schema, step: str) -> int:
    """The narrowest field whose grid is fine enough for the noise. Raises HeadroomError if none is."""
    noisy = encoding(step, schema, plan)
    assert isinstance(noisy, NoisySum)
    for bits in _FIELD_BITS:
        try:
            _ = replace(noisy, field_bits=bits).grid
        except HeadroomError:
            if bits == _FIELD_BITS[-1]:
                raise
        else:
            return bits
    raise AssertionError("unreachable")


def local_field_bits(sites: int) -> int:
    """The narrowest field in which rounding an update of schedule ``local`` does not show.

    Unbiased rounding of a value in [-limit, limit] to L levels adds a variance of at most (limit / L)**2;
    with limit = 9 sigma and L = 1000 that is below 1e-4 of sigma**2. Raises HeadroomError.
    """
    for bits in _FIELD_BITS:
        if ((1 << bits) - 2) // sites >= _FEWEST_LEVELS:
            return bits
    raise HeadroomError(
        f"{_FEWEST_LEVELS} levels for each of {sites} sites do not fit into {_FIELD_BITS[-1]} bits",
        hint="fewer sites",
    )
