"""The pair of a plan, and its parameters as one flat vector in one fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ..errors import MalformedMessageError
from ..modalities.array_layout import ArrayLayout
from ..modalities.layout import Layout
from ..phases import AnyModel, ArrayModel, Model
from .array_generator import ArrayGenerator
from .arrays import ArrayDiscriminator, new_generator
from .encoding import AnyLayout
from .tabular import Discriminator, Generator

Vector = NDArray[np.float32]
G_co = TypeVar("G_co", bound="Generator | ArrayGenerator", covariant=True)
D_co = TypeVar("D_co", bound="Discriminator | ArrayDiscriminator", covariant=True)


@dataclass(frozen=True, slots=True)
class Pair(Generic[G_co, D_co]):
    """A generator and a discriminator."""

    generator: G_co
    discriminator: D_co

    @overload
    @staticmethod
    def new(layout: Layout, model: AnyModel, seed: int) -> Pair[Generator, Discriminator]: ...

    @overload
    @staticmethod
    def new(layout: ArrayLayout, model: AnyModel, seed: int) -> Pair[ArrayGenerator, ArrayDiscriminator]: ...

    @staticmethod
    def new(layout: AnyLayout, model: AnyModel, seed: int) -> AnyPair:
        """Freshly initialised from a public seed: the same at every site."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if isinstance(layout, Layout):
                assert isinstance(model, Model)
                return Pair(
                    Generator(layout, model.latents, model.latent, model.generator_hidden),
                    Discriminator(layout, model.discriminator_hidden),
                )
            assert isinstance(model, ArrayModel)
            return Pair(new_generator(layout, model), ArrayDiscriminator(layout, model.discriminator_width))

    @property
    def counts(self) -> tuple[int, int]:
        """Number of parameters of generator and discriminator."""
        return count(self.generator), count(self.discriminator)

    def to_vector(self) -> Vector:
        """Generator, then discriminator: float32[sum(counts)]."""
        return np.concatenate([to_vector(self.generator), to_vector(self.discriminator)])

    def load(self, vector: Vector) -> None:
        """Set all parameters. Raises MalformedMessageError on another length."""
        generator, discriminator = self.counts
        check_length(vector, generator + discriminator)
        load(self.generator, vector[:generator])
        load(self.discriminator, vector[generator:])


AnyDiscriminator = Discriminator | ArrayDiscriminator
AnyPair = Pair[Generator, Discriminator] | Pair[ArrayGenerator, ArrayDiscriminator]


def check_length(vector: Vector, expected: int) -> None:
    """Raise MalformedMessageError on another length."""
    if vector.shape != (expected,):
        raise MalformedMessageError(f"expected {expected} parameters, got {vector.shape}")


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def to_vector(module: nn.Module) -> Vector:
    """All parameters, flat: float32[count]."""
    parameters = list(module.parameters())
    flat: Tensor = parameters_to_vector(parameters) if parameters else torch.zeros(0)
    return flat.detach().numpy().copy()


def load(module: nn.Module, vector: Vector) -> None:
    """Set all parameters from a flat vector. Raises MalformedMessageError on another length."""
    check_length(vector, count(module))
    vector_to_parameters(torch.from_numpy(vector.copy()), module.parameters())
