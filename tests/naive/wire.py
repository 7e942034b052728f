"""The naive implementation from bytes to bytes, as the vectors and their tests use it."""

from collections.abc import Mapping, Sequence
from functools import reduce

from . import boxes, cipher, frames, keys, masks, packing, proof, tags
from .refusal import refuse_if
from .ring import DATA_PRIMES, KEY_PRIMES, N, Poly, Row, add, polys_from_bytes, to_bytes, to_ntt
from .streams import Stream

HALF = len(DATA_PRIMES) * N // 2 * 15


def _half(raw: bytes) -> cipher.Half:
    return polys_from_bytes(raw, len(raw) // HALF)


def _ciphertext(raw: bytes, chunks: int) -> cipher.Ciphertext:
    polys = polys_from_bytes(raw, 2 * chunks)
    return [list(pair) for pair in zip(polys[::2], polys[1::2], strict=True)]


def _one(raw: bytes, primes: tuple[int, ...]) -> Poly:
    return polys_from_bytes(raw, 1, primes)[0]


class Naive:
    """One of two implementations of these functions; ``tests.vectors.real.Real`` is the other."""

    below = staticmethod(lambda key, bound, count: Stream(key).below(bound, count))
    lagrange = staticmethod(keys.lagrange)
    pair_key = staticmethod(boxes.pair_key)
    unseal = staticmethod(boxes.unseal)
    agreement = staticmethod(boxes.public)
    group_key = staticmethod(tags.group_key)
    identity = staticmethod(frames.public)
    sign = staticmethod(frames.sign)
    seal = staticmethod(frames.seal)
    message = staticmethod(frames.message)
    parse = staticmethod(frames.parse)
    check = staticmethod(frames.check)

    @staticmethod
    def read(raw: bytes, limit: int) -> None:
        frames.read(raw, limit)

    @staticmethod
    def proof_values(plan: str, site: str, sites: int) -> Row:
        return proof.values(plan, site, proof.layout(sites))

    @staticmethod
    def to_ntt(coefficients: Row) -> bytes:
        return to_bytes(to_ntt(coefficients))

    @staticmethod
    def pack(layout: tuple[int, int, int], values: Row) -> list[Row]:
        return packing.pack(packing.Layout(*layout), values)

    @staticmethod
    def unpack(layout: tuple[int, int, int], slots: list[Row], contributors: int) -> Row:
        return packing.unpack(packing.Layout(*layout), slots, contributors)

    @staticmethod
    def reference(seed: bytes) -> bytes:
        return to_bytes(keys.common_reference(seed))

    @staticmethod
    def public_piece(secret: bytes, minus_error: bytes, a: bytes) -> bytes:
        return to_bytes(keys.public_piece(*(_one(raw, KEY_PRIMES) for raw in (secret, minus_error, a))))

    @staticmethod
    def commitment(piece: bytes) -> bytes:
        return keys.commitment(_one(piece, KEY_PRIMES))

    @staticmethod
    def joint_key(pieces: Sequence[bytes], a: bytes) -> bytes:
        return to_bytes(keys.joint_key([_one(raw, KEY_PRIMES) for raw in pieces], _one(a, KEY_PRIMES)))

    @staticmethod
    def deal(secret: bytes, threshold: int, holders: int, key: bytes) -> list[bytes]:
        shares = keys.deal(_one(secret, KEY_PRIMES), threshold, holders, Stream(key))
        return [to_bytes(share) for share in shares]

    @staticmethod
    def key_share(received: Sequence[bytes]) -> bytes:
        return to_bytes(reduce(add, (_one(raw, DATA_PRIMES) for raw in received)))

    @staticmethod
    def add(ciphertexts: Sequence[bytes]) -> bytes:
        return to_bytes(cipher.add_all([_ciphertext(raw, len(raw) // (2 * HALF)) for raw in ciphertexts]))

    @staticmethod
    def mask(
        index: int, pairs: Mapping[int, bytes], openers: Sequence[int], plan: str, step: str, c1: bytes
    ) -> bytes:
        return to_bytes(masks.mask(index, pairs, openers, plan, step, _half(c1)))

    @staticmethod
    def partial(
        share: bytes,
        index: int,
        c1: bytes,
        openers: Sequence[int],
        threshold: int,
        smudging: int,
        key: bytes,
        mask: bytes,
    ) -> bytes:
        d = cipher.partial(
            _one(share, DATA_PRIMES),
            index,
            _half(c1),
            openers,
            threshold,
            smudging,
            Stream(key),
            _half(mask),
        )
        return to_bytes(d)

    @staticmethod
    def combine(total: bytes, partials: Mapping[int, bytes], threshold: int, chunks: int) -> list[Row]:
        halves = {index: _half(raw) for index, raw in partials.items()}
        return cipher.combine(_ciphertext(total, chunks), halves, threshold)

    @staticmethod
    def inner_product(group: bytes, c1: bytes, plan: str, step: str) -> Row:
        return tags.inner_product(group, _half(c1), plan, step)

    @staticmethod
    def check_tags(group: bytes, c1: bytes, sealed: Mapping[str, bytes], plan: str, step: str) -> None:
        tags.check(group, _half(c1), sealed, plan, step)

    @staticmethod
    def decode(what: str, raw: bytes, chunks: int) -> None:
        """Refuse what is not ``chunks`` of these: ciphertext, half, piece, share."""
        refuse_if(what not in {"ciphertext", "half", "piece", "share"}, "internal")
        count = {"ciphertext": 2 * chunks, "half": chunks}.get(what, 1)
        polys_from_bytes(raw, count, KEY_PRIMES if what == "piece" else DATA_PRIMES)
