"""Several small integers in one plaintext slot, with headroom that is proved before anything is sent.

A slot of 56 bits is cut into fields. A value in [0, max_value] goes into a field, and
``sites * max_value <= 2**field_bits - 2``, so that no sum of at most ``sites`` values carries into
its neighbour and no slot reaches the plaintext modulus. Slot 0 of every chunk counts contributors: an
opening that is wrong by accident passes that check with probability 2**-56.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..csprng import Csprng
from ..errors import HeadroomError, NotASumError
from .ring import PLAIN_MODULUS, SLOT_BITS, N

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """How ``count`` values travel in ciphertexts.

    field_bits: bits of a field, values and headroom together, 2 .. 55
    sites: the largest number of contributions in a sum
    count: number of values
    """

    field_bits: int
    sites: int
    count: int

    def __post_init__(self) -> None:
        if not 2 <= self.field_bits < SLOT_BITS or self.sites < 1 or self.count < 1:
            raise HeadroomError(f"impossible packing {self}")
        if self.max_value < 1:
            raise HeadroomError(
                f"{self.field_bits} bits leave no room to add {self.sites} values",
                hint="fewer sites in one sum or more bits a value",
            )
        largest = sum(
            (self.sites * self.max_value) << (self.field_bits * field) for field in range(self.per_slot)
        )
        if largest >= PLAIN_MODULUS:
            raise HeadroomError(f"a sum of {self.sites} could reach the plaintext modulus")

    @property
    def max_value(self) -> int:
        """The largest value a site may contribute; the smallest is 0."""
        return ((1 << self.field_bits) - 2) // self.sites

    @property
    def per_slot(self) -> int:
        """Values in a slot."""
        return SLOT_BITS // self.field_bits

    @property
    def chunks(self) -> int:
        """Ciphertexts needed."""
        return -(-self.count // (self.per_slot * (N - 1)))

    def pack(self, values: Integers) -> Integers:
        """``int64[count]`` in [0, max_value] to slots ``int64[chunks, N]``. Raises HeadroomError."""
        if values.shape != (self.count,):
            raise HeadroomError(f"expected {self.count} values, got {values.shape}")
        if values.min() < 0 or values.max() > self.max_value:
            raise HeadroomError(f"values outside [0, {self.max_value}] cannot be added safely")
        fields = np.zeros(self.chunks * (N - 1) * self.per_slot, np.int64)
        fields[: self.count] = values
        rows = fields.reshape(self.per_slot, self.chunks, N - 1)
        slots = np.ones((self.chunks, N), np.int64)
        slots[:, 1:] = 0
        for field in range(self.per_slot):
            slots[:, 1:] |= rows[field] << (self.field_bits * field)
        return slots

    def unpack_sum(self, slots: Integers, contributors: int) -> Integers:
        """Slots of a sum of ``contributors`` packed vectors back to ``int64[count]``.

        Raises NotASumError if a slot could not have come from such a sum.
        """
        if slots.shape != (self.chunks, N) or not 1 <= contributors <= self.sites:
            raise NotASumError(f"not a sum of {contributors} contributions: shape {slots.shape}")
        mask = (1 << self.field_bits) - 1
        fields = np.stack([(slots[:, 1:] >> (self.field_bits * f)) & mask for f in range(self.per_slot)])
        over = slots[:, 1:] >> (self.field_bits * self.per_slot)
        counted = (slots[:, 0] == contributors).all()
        values, padding = np.split(fields.reshape(-1), [self.count])
        if not counted or over.any() or padding.any() or values.max() > contributors * self.max_value:
            raise NotASumError(
                "what was opened is not the sum of the contributions",
                hint="too few or altered partial decryptions; nothing was opened",
            )
        return values


@dataclass(frozen=True, slots=True)
class Quantiser:
    """Real values in [-limit, limit] as integers in [0, max_value], and sums of them back.

    limit: float64[count] or a scalar, public, never measured on data
    """

    limit: NDArray[np.float64]
    max_value: int

    def to_integers(self, values: NDArray[np.float64], random: Csprng) -> Integers:
        """Clip, shift, scale, round at random (unbiased): ``int64[count]``."""
        if not np.isfinite(values).all():
            raise HeadroomError("a contribution is not finite; nothing was sent")
        clipped = np.clip(values, -self.limit, self.limit)
        scaled = (clipped / self.limit + 1.0) * (self.max_value / 2.0)
        return np.minimum(random.stochastic_round(scaled), self.max_value)

    def sum_to_values(self, sums: Integers, contributors: int) -> NDArray[np.float64]:
        """The sum of the clipped values, up to rounding: ``float64[count]``."""
        return (sums * (2.0 / self.max_value) - contributors) * self.limit
