"""Networks and sums of a table's plan: sizes that follow from the schema."""

from __future__ import annotations

import math

from .errors import ConfigError
from .modalities.neighbours import cells
from .phases import Measure, Model
from .run_config import RunConfig
from .schema import TableSchema

_PAIR_POWER = 0.25
_DROWNING, _MOST_WEIGHT = 0.01, 3.0  # noise / share of a pair, from which conditions weigh more; at most
_MOST_CLASSES = 4  # combinations of conditions, up to which all counts are taken separately for each
_FEWEST_LATENTS, _LATENT_ROWS = 128, 2048
_MOST_ROWS = 1 << 16  # latents times combinations of conditions, all of them in every step of the fit
_FIT_STEPS = 800
_MOST_CELLS = 1 << 20  # of all pairs of all classes, from which only neighbours are paired


def model(config: RunConfig, schema: TableSchema) -> Model:
    """The networks; the fit's time grows with latents times combinations of conditions."""
    combinations = math.prod(condition.size for condition in schema.conditions)
    if combinations * (config.model.latents or _FEWEST_LATENTS) > _MOST_ROWS:
        raise ConfigError(
            f"{combinations} combinations of conditions make the fit too large",
            hint="fewer conditions, or fewer categories in them; they may be ordinary columns",
        )
    latents = config.model.latents or max(_FEWEST_LATENTS, _LATENT_ROWS // combinations)
    given = config.model.given("latent", "generator_hidden", "discriminator_hidden")
    usual = {"latent": 32, "generator_hidden": (128, 128), "discriminator_hidden": (160, 160)}
    return Model.model_validate({**usual, **given, "latents": latents})


def measure(
    config: RunConfig,
    schema: TableSchema,
    noise: float,
    field_bits: int,
    units: int,
    condition_weight: float | None,
) -> Measure:
    """The second sum and the fit.

    units: of all sites, as expected; condition_weight: of sums that these are to be added to, if any
    """
    split = _split(config, schema)
    return Measure(
        noise_multiplier=noise,
        split=split,
        neighbours=_neighbours(config, schema, split),
        power=_PAIR_POWER,
        condition_weight=condition_weight or _condition_weight(schema, split, noise / units),
        field_bits=field_bits,
        fit_steps=config.training.fit_steps or _FIT_STEPS,
        fit_learning_rate=3e-3,
    )


def _condition_weight(schema: TableSchema, split: tuple[str, ...], noise: float) -> float:
    """More, the more noise a pair's share will have: 1 up to a hundredth, 3 from three hundredths on.

    A generator is asked by its conditions. Where noise drowns most pairs, those of conditions are to be seen;
    where it does not, all others would lose what these do not need.
    noise: of a coordinate of the sum, in shares of the units
    """
    share = noise * math.comb(len(schema.columns) - len(split), 2) ** 0.5
    return float(round(min(_MOST_WEIGHT, max(1.0, share / _DROWNING)), 2))


def _neighbours(config: RunConfig, schema: TableSchema, split: tuple[str, ...]) -> int | None:
    """None while all pairs are few enough; else as many neighbours as are, one at least."""
    if config.training.neighbours is not None:
        return config.training.neighbours
    free = [column.groups for column in schema.columns if not column.condition]
    given = [column.groups for column in schema.conditions if column.name not in split]
    classes = math.prod(column.groups for column in schema.conditions if column.name in split)
    if classes * cells(free, given, len(free)) <= _MOST_CELLS:
        return None
    fits = (n for n in range(len(free), 1, -1) if classes * cells(free, given, n) <= _MOST_CELLS)
    return next(fits, 1)


def _split(config: RunConfig, schema: TableSchema) -> tuple[str, ...]:
    """The conditions for whose combinations counts are taken separately."""
    names = [condition.name for condition in schema.conditions]
    if config.training.split is None:
        combinations = math.prod(condition.size for condition in schema.conditions)
        few = combinations <= _MOST_CLASSES and len(schema.columns) >= len(names) + 2
        return tuple(names) if few else ()
    if len(set(config.training.split)) < len(config.training.split):
        raise ConfigError("training.split: a condition stands twice")
    if unknown := set(config.training.split) - set(names):
        raise ConfigError(
            f"training.split: {sorted(unknown)[0]!r} is no condition", hint="conditions: " + ", ".join(names)
        )
    if len(schema.columns) < len(config.training.split) + 2:
        raise ConfigError(
            "training.split: at least two columns must remain", hint="split by fewer conditions"
        )
    return config.training.split
