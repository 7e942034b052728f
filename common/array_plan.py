"""Networks and sum of a plan for images or signals: the recipe that measured best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import ConfigError
from .phases import ArrayMeasure, ArrayModel, Views
from .run_config import RunConfig
from .schema import ArraySchema, ImageSchema

_MODEL: dict[str, Any] = {"categories": 0, "factors": 0, "generator": "film"}


@dataclass(frozen=True, slots=True)
class _Recipe:
    """Networks, features and fit of a kind of records at one size of machine."""

    model: dict[str, Any]
    features: dict[str, int]
    steps: int
    rate: float


_RECIPES = {
    ("image", "cpu"): _Recipe(
        {"latent": 64, "generator_hidden": (256, 256), "generator_width": 256, "discriminator_width": 16},
        {"coefficients": 14, "plain": 1500, "windowed": 1500, "fit_batch": 48},
        steps=2000,
        rate=5e-3,
    ),
    ("signal", "cpu"): _Recipe(
        {"latent": 32, "generator_hidden": (256, 256), "generator_width": 1024, "discriminator_width": 16},
        {"coefficients": 64, "plain": 800, "windowed": 1200, "fit_batch": 64},
        steps=1500,
        rate=8e-3,
    ),
    ("image", "gpu"): _Recipe(
        {"latent": 128, "generator_hidden": (1024,) * 3, "generator_width": 512, "discriminator_width": 64},
        {"coefficients": 20, "plain": 4000, "windowed": 4000, "fit_batch": 200},
        steps=30_000,
        rate=2e-3,
    ),
    ("signal", "gpu"): _Recipe(
        {"latent": 64, "generator_hidden": (512,) * 3, "generator_width": 1024, "discriminator_width": 64},
        {"coefficients": 96, "plain": 2000, "windowed": 3000, "fit_batch": 200},
        steps=10_000,
        rate=3e-3,
    ),
}


def _recipe(config: RunConfig, schema: ArraySchema) -> _Recipe:
    kind = "image" if isinstance(schema, ImageSchema) else "signal"
    return _RECIPES[kind, config.features.preset]


def model(config: RunConfig, schema: ArraySchema) -> ArrayModel:
    """The networks. Raises ConfigError for codes that no family uses."""
    given = config.model.given(*(name for name in ArrayModel.model_fields if name != "coefficients"))
    usual = _recipe(config, schema)
    kept = {"coefficients": config.features.coefficients or usual.features["coefficients"]}
    found = ArrayModel.model_validate({**_MODEL, **usual.model, **kept, **given})
    if (found.categories or found.factors) and config.adversarial.family != "infogan":
        raise ConfigError("model: categories and factors are codes of adversarial.family = 'infogan'")
    return found


def measure(config: RunConfig, schema: ArraySchema, noise: float, field_bits: int) -> ArrayMeasure:
    """The sum of features and the fit. Raises ConfigError for views of signals."""
    if config.augment is not None and not isinstance(schema, ImageSchema):
        raise ConfigError("augment: views are for images")
    usual, chosen = _recipe(config, schema), config.features.model_dump(exclude={"preset"})
    given = {name: value for name, value in chosen.items() if value is not None}
    content: dict[str, Any] = {**usual.features, **given}
    return ArrayMeasure(
        noise_multiplier=noise,
        views=Views(**config.augment.model_dump()) if config.augment else None,
        field_bits=field_bits,
        fit_steps=config.training.fit_steps or usual.steps,
        fit_learning_rate=usual.rate,
        **content,
    )
