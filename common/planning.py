"""From what a person wants to a complete plan: noise calibrated, packing and bounds chosen."""

from __future__ import annotations

import math

from .config import SimulationConfig
from .contributions import MeasureEncoding, TrainEncoding
from .crypto import ring
from .crypto.parameters import MOST_CIPHERTEXTS
from .errors import HeadroomError
from .modalities.layout import Layout
from .modalities.tabular import GramFeatures
from .plan import Federation, Measure, Model, Plan, Privacy, Train
from .privacy.accounting import calibrate, check_target
from .privacy.ledger import UNIT
from .privacy.mechanism import GaussianSum, Mechanism, SampledGaussian
from .protocol.messages import LARGEST
from .schema import Schema

_MOST_RECORDS = 20  # a site may hold so many times the least it must hold
_SINGLE_WEIGHT = 1.0
_UPDATE_LIMIT = 9.0
_FIELD_BITS = (14, 18, 28)  # four, three or two values a slot
_FEWEST_LEVELS = 1000  # of a value that carries no noise of its own: the generator's update
_LEVELS_PER_LIMIT = 10  # times limit / noise: rounding then adds at most 1 % to the noise's variance


def make_plan(config: SimulationConfig, schema: Schema, federation: Federation, run: str) -> Plan:
    """The plan of a configuration.

    Raises PrivacyTargetError if the target cannot be met, HeadroomError if its sums could not be opened
    exactly, would lose precision to rounding, or are too long for a message.
    """
    wanted, training = config.privacy, config.training
    check_target(wanted.epsilon, wanted.delta)
    measure_noise, train_noise = _noise(config)
    batch = max(1, round(training.sample_rate * training.records_per_site))
    sites = len(federation.sites)
    features = GramFeatures(Layout.of(schema).sizes, _SINGLE_WEIGHT)
    measure_limit = float(_MOST_RECORDS * training.records_per_site)
    largest = measure_limit * max(1.0, _SINGLE_WEIGHT) / (measure_noise * features.l2_sensitivity)
    plan = Plan(
        run=run,
        schema_hash=schema.hash,
        federation=federation,
        privacy=Privacy(epsilon=wanted.epsilon, delta=wanted.delta, unit=UNIT),
        model=Model(**config.model.model_dump()),
        measure=Measure(
            noise_multiplier=measure_noise,
            single_weight=_SINGLE_WEIGHT,
            limit=measure_limit,
            field_bits=field_bits(sites, largest),
            fit_steps=training.fit_steps,
            fit_batch=128,
            fit_learning_rate=3e-3,
        ),
        train=Train(
            rounds=training.rounds,
            local_steps=training.local_steps,
            generator_steps=training.generator_steps,
            sample_rate=training.sample_rate,
            noise_multiplier=train_noise,
            max_grad_norm=1.0,
            expected_batch_size=batch,
            fakes=batch,
            generator_batch=128,
            discriminator_learning_rate=0.7,
            generator_learning_rate=1e-4,
            anchor=10.0,
            update_limit=_UPDATE_LIMIT,
            field_bits=field_bits(sites, _UPDATE_LIMIT),
            average_decay=0.7,
        ),
        min_records=training.records_per_site,
        max_records=_MOST_RECORDS * training.records_per_site,
        seed=config.seed,
    )
    _check_size(plan, schema)
    return plan


def _noise(config: SimulationConfig) -> tuple[float, float]:
    """Noise multipliers of the measure phase and of DP-SGD that together meet the target."""
    wanted, training = config.privacy, config.training
    share = wanted.measure_share if training.rounds else 1.0

    def measured(sigma: float) -> list[Mechanism]:
        return [GaussianSum(noise_multiplier=sigma)]

    measure = calibrate(measured, share * wanted.epsilon, wanted.delta)
    steps = training.rounds * training.local_steps
    if not steps:
        return measure, 1.0

    def everything(sigma: float) -> list[Mechanism]:
        trained = SampledGaussian(noise_multiplier=sigma, sample_rate=training.sample_rate, steps=steps)
        return [*measured(measure), trained]

    return measure, calibrate(everything, wanted.epsilon, wanted.delta)


def field_bits(sites: int, limit_over_noise: float) -> int:
    """The narrowest field in which rounding does not show.

    A value in [-limit, limit] has L levels; unbiased rounding adds a variance of at most (limit / L)**2, so
    L >= 10 limit / sigma keeps it below 1 % of sigma**2. Raises HeadroomError if no field is wide enough.
    """
    levels = max(_FEWEST_LEVELS, math.ceil(_LEVELS_PER_LIMIT * limit_over_noise))
    for bits in _FIELD_BITS:
        if ((1 << bits) - 2) // sites >= levels:
            return bits
    raise HeadroomError(
        f"{levels} levels for each of {sites} sites do not fit into {_FIELD_BITS[-1]} bits",
        hint="fewer sites, a smaller records_per_site, or more noise (a smaller epsilon)",
    )


def _check_size(plan: Plan, schema: Schema) -> None:
    measured, trained = MeasureEncoding(schema, plan).packing, TrainEncoding(schema, plan).packing
    rounds = plan.train.rounds
    if measured.chunks + rounds * trained.chunks > MOST_CIPHERTEXTS:
        raise HeadroomError(
            f"the sums of this run need more than {MOST_CIPHERTEXTS} ciphertexts",
            hint="fewer rounds or smaller networks",
        )
    longest = max(measured.chunks, trained.chunks if rounds else 0) * ring.byte_length(
        2, len(ring.DATA_PRIMES), ring.N
    )
    if longest > LARGEST - (1 << 20):
        raise HeadroomError(
            f"a contribution would have {longest} bytes, more than a message may have",
            hint="smaller networks, or fewer columns and bins",
        )
