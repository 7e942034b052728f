"""The networks of a plan: one place that knows which family is which."""

from __future__ import annotations

import torch
from torch import nn

from ..errors import ConfigError
from ..modalities.array_layout import ArrayLayout
from ..phases import AnyModel, ArrayModel, Objective
from .autoencoders import Autoencoding, LatentAdversarial, Variational
from .encoding import AnyLayout
from .family import Adversarial, Family, Judged
from .infogan import CodeHead, Free, InfoGan
from .pair import Pair

PLAIN = Objective(family="bce", real_target=1.0, flips=0.0, weight_limit=1.0, information=0.0, divergence=0.0)
"""Of a plan without an adversarial phase, which has a discriminator that is never asked."""

_BY_STEP = ("infogan", "cvae", "aae")  # for images and signals, a secure sum for each step


def new_family(layout: AnyLayout, model: AnyModel, objective: Objective, seed: int) -> Family:
    """Freshly initialised from a public seed: the same at every site.

    The generator starts alike in every family. Raises ConfigError, as ``check_objective``.
    """
    check_objective(layout, "every-step", objective, model)
    if objective.family in _BY_STEP:
        assert isinstance(layout, ArrayLayout)
        assert isinstance(model, ArrayModel)
        return _of_arrays(layout, model, objective, seed)
    pair = Pair.new(layout, model, seed)
    return Adversarial(pair.generator, Judged(pair.discriminator, objective), pair.generator, objective)


def _of_arrays(layout: ArrayLayout, model: ArrayModel, objective: Objective, seed: int) -> Family:
    pair = Pair.new(layout, model, seed)
    generator, weight = pair.generator, objective.divergence
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed + 1)
        if objective.family == "cvae":
            return Autoencoding(generator, Variational(layout, model, generator, weight), nn.Module())
        if objective.family == "aae":
            return Autoencoding(generator, LatentAdversarial(layout, model, generator, weight), nn.Module())
        head = CodeHead(layout, model.discriminator_width, model.categories, model.factors)
    return InfoGan(generator, Judged(pair.discriminator, objective), Free(generator, head), objective)


def check_objective(layout: AnyLayout, schedule: str, objective: Objective, model: AnyModel) -> None:
    """Raise ConfigError for a family that does not go with the kind of records, the schedule or the networks.

    schedule: ``moments``, ``every-step`` or ``local``
    """
    family = objective.family
    codes = isinstance(model, ArrayModel) and model.categories + model.factors > 0
    if family in _BY_STEP and not isinstance(layout, ArrayLayout):
        raise ConfigError(
            f"adversarial.family = {family!r} is for images and signals",
            hint="for tables: 'bce', 'hinge' or 'wasserstein'",
        )
    if family in _BY_STEP and schedule == "local":
        raise ConfigError(
            f"adversarial.family = {family!r} needs training.schedule = 'every-step'",
            hint="schedule 'local' trains 'bce', 'hinge' and 'wasserstein'",
        )
    if family == "infogan" and not codes:
        raise ConfigError(
            "adversarial.family = 'infogan' needs codes", hint="[model] categories or factors, or both"
        )
    if family != "infogan" and codes:
        raise ConfigError(
            "model: categories and factors are codes of adversarial.family = 'infogan'",
            hint="leave them out, or choose that family",
        )
