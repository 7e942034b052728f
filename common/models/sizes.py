"""How large networks would be, known before any is made: what a plan or a file claims is bounded by it."""

from __future__ import annotations

import math
from itertools import pairwise

import torch

from ..modalities.array_layout import ArrayLayout
from ..modalities.frequencies import count as frequencies
from ..modalities.layout import Layout
from ..phases import ArrayModel, Model
from .arrays import ConvolutionalGenerator, Strided
from .film import PLANE, FilmTrunk
from .pair import count


def generator_size(layout: Layout | ArrayLayout, model: Model | ArrayModel) -> int:
    """Parameters of a generator, those of a table without biases but with its points."""
    if isinstance(layout, Layout):
        return _of_table(layout, model) if isinstance(model, Model) else 0
    if not isinstance(model, ArrayModel):
        return 0
    kept = frequencies(layout, model.coefficients)
    with torch.device("meta"):  # no memory
        if model.generator == "convolutional":
            return count(ConvolutionalGenerator(layout, model))
        classes, latent = layout.classes, model.latent
        if len(layout.shape) == 2:
            outputs = layout.shape[0] * min(model.coefficients, layout.shape[1])
            return count(FilmTrunk(latent, model.generator_hidden, classes, outputs))
        outputs = layout.shape[0] * math.prod(min(PLANE, side) for side in layout.shape[1:])
        gaussian = (classes + classes * latent) * kept
        return gaussian + count(FilmTrunk(latent, model.generator_hidden, classes, outputs))


def judge_size(layout: Layout | ArrayLayout, model: Model | ArrayModel) -> int:
    """Parameters of a discriminator, or of an encoder if that is larger; of a table's without biases."""
    if isinstance(layout, Layout):
        widths = (layout.width, *model.discriminator_hidden) if isinstance(model, Model) else ()
        return sum(a * b for a, b in pairwise(widths))
    if not isinstance(model, ArrayModel):
        return 0
    with torch.device("meta"):
        return count(Strided(layout, model.discriminator_width, 2 * model.latent))


def _of_table(layout: Layout, model: Model) -> int:
    hidden, latent = model.generator_hidden, model.latent
    layers = sum(a * b for a, b in pairwise((latent, *hidden, layout.generated_width)))
    film = 2 * sum(hidden) * layout.condition_width
    width = layout.generated_width
    return layers + film + (latent + layout.condition_width) * width + model.latents * latent
