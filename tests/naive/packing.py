"""Values in slots: a slot of 56 bits holds floor(56 / bits) fields, slot 0 of a chunk holds a 1.

Value v stands in field v // (chunks (N - 1)), in the slots counted through all chunks without their slot 0.
L = floor((2^bits - 2) / sites) is the largest value, so that no sum of ``sites`` values leaves its field.
"""

from collections.abc import Sequence
from typing import NamedTuple

from .refusal import refuse_if
from .ring import N, Row, T


class Layout(NamedTuple):
    """bits of a field, the largest number of contributions in a sum, number of values."""

    bits: int
    sites: int
    count: int

    @property
    def largest(self) -> int:
        """L."""
        return (2**self.bits - 2) // self.sites

    @property
    def per_slot(self) -> int:
        """Fields in a slot."""
        return 56 // self.bits

    @property
    def chunks(self) -> int:
        """Ciphertexts."""
        fields = self.per_slot * (N - 1)
        return (self.count + fields - 1) // fields

    def check(self) -> None:
        """L >= 1 and the fullest slot is below t."""
        refuse_if(not 2 <= self.bits <= 55 or self.sites < 1 or self.count < 1, "crypto-headroom")
        fullest = sum(self.sites * self.largest * 2 ** (self.bits * f) for f in range(self.per_slot))
        refuse_if(self.largest < 1 or fullest >= T, "crypto-headroom")


def pack(layout: Layout, values: Sequence[int]) -> list[Row]:
    """Slots of every chunk."""
    layout.check()
    refuse_if(len(values) != layout.count, "crypto-headroom")
    refuse_if(not all(0 <= value <= layout.largest for value in values), "crypto-headroom")
    slots = [[1] + [0] * (N - 1) for _ in range(layout.chunks)]
    for number, value in enumerate(values):
        field, place = divmod(number, layout.chunks * (N - 1))
        chunk, slot = divmod(place, N - 1)
        slots[chunk][slot + 1] += value * 2 ** (layout.bits * field)
    return slots


def unpack(layout: Layout, slots: list[Row], contributors: int) -> Row:
    """The sum of ``contributors`` packed vectors, or a refusal: such a sum cannot look like this."""
    code = "crypto-not-a-sum"
    refuse_if(len(slots) != layout.chunks or not 1 <= contributors <= layout.sites, code)
    refuse_if(any(chunk[0] != contributors for chunk in slots), code)
    places = [slot for chunk in slots for slot in chunk[1:]]
    sums: Row = []
    for _ in range(layout.per_slot):
        sums += [slot % 2**layout.bits for slot in places]
        places = [slot // 2**layout.bits for slot in places]
    sums, padding = sums[: layout.count], sums[layout.count :]
    refuse_if(any(places) or any(padding) or max(sums) > contributors * layout.largest, code)
    return sums
