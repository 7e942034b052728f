"""From what a person wants to a complete plan: noise calibrated, packing and bounds chosen."""

from __future__ import annotations

from .config import SimulationConfig
from .plan import Federation, Measure, Model, Plan, Privacy, Train
from .privacy.accounting import calibrate, check_target
from .privacy.ledger import UNIT
from .privacy.mechanism import GaussianSum, Mechanism, SampledGaussian
from .schema import Schema

_MOST_RECORDS = 20  # a site may hold so many times the least it must hold
_MEASURE_BITS = 18  # three counts a slot
_FEWEST_LEVELS = 1000  # of a quantised update; below that rounding would be seen


def make_plan(config: SimulationConfig, schema: Schema, federation: Federation, run: str) -> Plan:
    """The plan of a configuration. Raises PrivacyTargetError if the target cannot be met."""
    wanted, training = config.privacy, config.training
    check_target(wanted.epsilon, wanted.delta)
    measure_noise, train_noise = _noise(config)
    batch = max(1, round(training.sample_rate * training.records_per_site))
    return Plan(
        run=run,
        schema_hash=schema.hash,
        federation=federation,
        privacy=Privacy(epsilon=wanted.epsilon, delta=wanted.delta, unit=UNIT),
        model=Model(**config.model.model_dump()),
        measure=Measure(
            noise_multiplier=measure_noise,
            single_weight=1.0,
            limit=float(_MOST_RECORDS * training.records_per_site),
            field_bits=_MEASURE_BITS,
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
            update_limit=9.0,
            field_bits=_field_bits(len(federation.sites)),
            average_decay=0.7,
        ),
        min_records=training.records_per_site,
        max_records=_MOST_RECORDS * training.records_per_site,
        seed=config.seed,
    )


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


def _field_bits(sites: int) -> int:
    """The smallest field that leaves enough levels for one site's value: 4, 3 or 2 values a slot."""
    return next(bits for bits in (14, 18, 28) if ((1 << bits) - 2) // sites >= _FEWEST_LEVELS)
