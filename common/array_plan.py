"""Networks and sum of a plan for images or signals: the recipe that measured best."""

from __future__ import annotations

from typing import Any

from .config import SimulationConfig
from .errors import ConfigError
from .phases import ArrayMeasure, ArrayModel, Views
from .schema import ArraySchema, ImageSchema

_MODEL: dict[str, Any] = {"categories": 0, "factors": 0, "generator": "film", "discriminator_width": 16}
_IMAGE_MODEL: dict[str, Any] = {"latent": 64, "generator_hidden": (256, 256), "generator_width": 256}
_SIGNAL_MODEL: dict[str, Any] = {"latent": 32, "generator_hidden": (256, 256), "generator_width": 1024}
_IMAGE_FEATURES = {"coefficients": 14, "plain": 1500, "windowed": 1500, "fit_batch": 48}
_SIGNAL_FEATURES = {"coefficients": 64, "plain": 800, "windowed": 1200, "fit_batch": 64}
_IMAGE_FIT = {"steps": 3000, "rate": 5e-3}
_SIGNAL_FIT = {"steps": 1500, "rate": 8e-3}


def model(config: SimulationConfig, schema: ArraySchema) -> ArrayModel:
    """The networks. Raises ConfigError for codes that no family uses."""
    given = config.model.given(*(name for name in ArrayModel.model_fields if name != "coefficients"))
    usual = _IMAGE_MODEL if isinstance(schema, ImageSchema) else _SIGNAL_MODEL
    features = _IMAGE_FEATURES if isinstance(schema, ImageSchema) else _SIGNAL_FEATURES
    kept = {"coefficients": config.features.coefficients or features["coefficients"]}
    found = ArrayModel.model_validate({**_MODEL, **usual, **kept, **given})
    if (found.categories or found.factors) and config.adversarial.family != "infogan":
        raise ConfigError("model: categories and factors are codes of adversarial.family = 'infogan'")
    return found


def measure(config: SimulationConfig, schema: ArraySchema, noise: float, field_bits: int) -> ArrayMeasure:
    """The sum of features and the fit. Raises ConfigError for views of signals."""
    image = isinstance(schema, ImageSchema)
    if config.augment is not None and not image:
        raise ConfigError("augment: views are for images")
    given = {name: value for name, value in config.features.model_dump().items() if value is not None}
    fit = _IMAGE_FIT if image else _SIGNAL_FIT
    content: dict[str, Any] = {**(_IMAGE_FEATURES if image else _SIGNAL_FEATURES), **given}
    return ArrayMeasure(
        noise_multiplier=noise,
        views=Views(**config.augment.model_dump()) if config.augment else None,
        field_bits=field_bits,
        fit_steps=config.training.fit_steps or int(fit["steps"]),
        fit_learning_rate=fit["rate"],
        **content,
    )
