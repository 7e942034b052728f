"""A whole run from one seed: every secret, every message that is a function of them, every opening."""

import hashlib
from collections.abc import Sequence
from functools import cached_property, reduce
from typing import Any

from . import boxes, cipher, keys, masks, noise, packing, tags
from .ring import KEY_PRIMES, Poly, Row, add, to_bytes, to_ntt
from .streams import Stream, made_up, small, ternary

STEP = "train-0001"
NONCE = bytes(range(12))


def digest(nested: Any) -> str:
    """SHA-256 of the wire form."""
    return hashlib.sha256(nested if isinstance(nested, bytes) else to_bytes(nested)).hexdigest()


def digest_of_integers(numbers: Sequence[int]) -> str:
    """SHA-256 of integers of 8 bytes, little-endian."""
    return digest(b"".join(number.to_bytes(8, "little") for number in numbers))


class Run:
    """A committee of ``holders``, of which ``threshold`` open, and one sum of a roster of ``sites``.

    absent: so many of the roster, from its start, contribute nothing
    """

    def __init__(
        self, seed: str, holders: int, threshold: int, sites: int, bits: int, count: int, absent: int = 0
    ) -> None:
        self.seed, self.holders, self.threshold = seed, holders, threshold
        self.layout = packing.Layout(bits, sites, count)
        self.plan = hashlib.sha256(seed.encode()).hexdigest()
        self.names = [f"site-{number}" for number in range(1, sites + 1)]
        self.summands = self.names[absent:]
        self.nonces = [made_up(seed, f"nonce/{name}") for name in self.names]
        self.agreements = [made_up(seed, f"agreement/{name}") for name in self.names[:holders]]
        self.smudging = noise.smudging(sites, holders, threshold)

    @cached_property
    def a(self) -> Poly:
        """The common reference."""
        return keys.common_reference(keys.reference_seed(self.plan, self.nonces))

    @cached_property
    def secrets(self) -> list[tuple[Poly, Poly]]:
        """(s_i, -e_i) at the key level."""
        return [
            (
                to_ntt(ternary(self.seed, f"secret/{i}"), KEY_PRIMES),
                to_ntt([-error for error in small(self.seed, f"error/{i}")], KEY_PRIMES),
            )
            for i in range(1, self.holders + 1)
        ]

    @cached_property
    def pieces(self) -> list[Poly]:
        """b_i."""
        return [keys.public_piece(s, minus_e, self.a) for s, minus_e in self.secrets]

    @cached_property
    def key(self) -> tuple[Poly, Poly]:
        """The joint key."""
        return keys.joint_key(self.pieces, self.a)

    def deal_key(self, holder: int) -> bytes:
        """Of the stream that gives a dealer's higher coefficients."""
        return made_up(self.seed, f"deal/{holder}")

    @cached_property
    def dealt(self) -> list[list[Poly]]:
        """[dealer][receiver]."""
        return [
            keys.deal(s, self.threshold, self.holders, Stream(self.deal_key(i)))
            for i, (s, _) in enumerate(self.secrets, start=1)
        ]

    @cached_property
    def shares(self) -> list[Poly]:
        """S_j = sum_i f_i(j)."""
        return [reduce(add, received) for received in zip(*self.dealt, strict=True)]

    @cached_property
    def values(self) -> list[Row]:
        """Of every summand: words of 4 bytes mod L + 1, but the first value is L."""
        out = []
        for name in self.summands:
            raw = made_up(self.seed, f"values/{name}", 4 * self.layout.count)
            words = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
            out.append([self.layout.largest] + [word % (self.layout.largest + 1) for word in words[1:]])
        return out

    @cached_property
    def clear_sum(self) -> Row:
        """What must come out."""
        return [sum(column) for column in zip(*self.values, strict=True)]

    @cached_property
    def ciphertexts(self) -> list[cipher.Ciphertext]:
        """Of every summand."""
        return [
            cipher.encrypt(self.key, packing.pack(self.layout, values), self.seed, f"encrypt/{name}")
            for name, values in zip(self.summands, self.values, strict=True)
        ]

    @cached_property
    def total(self) -> cipher.Ciphertext:
        """Their sum."""
        return cipher.add_all(self.ciphertexts)

    @cached_property
    def c1(self) -> cipher.Half:
        """The half of the sum that key-holders see."""
        return [c1 for _, c1 in self.total]

    def pairs(self, holder: int) -> dict[int, bytes]:
        """A key-holder's pair keys, by the other's index."""
        me, own = self.names[holder - 1], self.agreements[holder - 1]
        return {
            other: boxes.pair_key(own, boxes.public(theirs), boxes.pair_context(self.plan, me, name))
            for other, (name, theirs) in enumerate(zip(self.names, self.agreements, strict=False), start=1)
            if other != holder
        }

    @cached_property
    def group(self) -> bytes:
        """K."""
        pieces = [made_up(self.seed, f"group/{i}") for i in range(1, self.holders + 1)]
        return tags.group_key(pieces, self.plan)

    @cached_property
    def tags(self) -> dict[str, bytes]:
        """Sealed tags of every summand, all with one nonce: their keys differ."""
        halves = [[c1 for _, c1 in ciphertext] for ciphertext in self.ciphertexts]
        return {
            name: tags.seal(self.group, half, self.plan, STEP, name, NONCE)
            for name, half in zip(self.summands, halves, strict=True)
        }

    def mask(self, holder: int, openers: Sequence[int], step: str = STEP) -> cipher.Half:
        """mask_j."""
        return masks.mask(holder, self.pairs(holder), openers, self.plan, step, self.c1)

    def noise_key(self, holder: int, openers: Sequence[int]) -> bytes:
        """Of the stream that gives the smudging of one opening."""
        return made_up(self.seed, f"noise/{holder}/{','.join(map(str, openers))}")

    def partial(self, holder: int, openers: Sequence[int], mask: cipher.Half | None) -> cipher.Half:
        """d_j for this sum."""
        stream = Stream(self.noise_key(holder, openers))
        share = self.shares[holder - 1]
        return cipher.partial(share, holder, self.c1, openers, self.threshold, self.smudging, stream, mask)

    def open(self, partials: dict[int, cipher.Half]) -> Row:
        """The sum, from partial decryptions by index."""
        slots = cipher.combine(self.total, partials, self.threshold)
        return packing.unpack(self.layout, slots, len(self.summands))
