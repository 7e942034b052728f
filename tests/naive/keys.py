"""The joint key that nobody holds: pieces b_i = -(a s_i + e_i), commitments, Shamir shares of s = sum s_i."""

import hashlib
from collections.abc import Sequence
from functools import reduce

from .refusal import refuse_if
from .ring import DATA_PRIMES, KEY_PRIMES, N, Poly, Row, add, mul, scale, sub, to_bytes
from .streams import Stream


def reference_seed(plan: str, nonces: Sequence[bytes]) -> bytes:
    """SHA-256 of the plan's hash and every site's nonce, in roster order."""
    return hashlib.sha256(plan.encode() + b"".join(nonces)).digest()


def common_reference(seed: bytes) -> Poly:
    """a: for each prime the first N words of 60 bits below it, out of 2N that SHAKE-256 gives."""
    rows = []
    for number, q in enumerate(KEY_PRIMES):
        raw = hashlib.shake_256(f"fedcgan/v1/common-reference/{number}/".encode() + seed).digest(16 * N)
        words = [int.from_bytes(raw[at : at + 8], "little") % 2**60 for at in range(0, len(raw), 8)]
        rows.append([word for word in words if word < q][:N])
    return rows


def public_piece(secret: Poly, minus_error: Poly, a: Poly) -> Poly:
    """b_i = -e_i - a s_i at the key level."""
    return sub(minus_error, mul(a, secret))


def commitment(piece: Poly) -> bytes:
    """SHA-256 of a piece, sent before any piece is shown."""
    return hashlib.sha256(b"fedcgan/v1/key-piece/" + to_bytes(piece)).digest()


def joint_key(pieces: Sequence[Poly], a: Poly) -> tuple[Poly, Poly]:
    """(b, a) with b = sum b_i."""
    return reduce(add, pieces), a


def deal(secret: Poly, threshold: int, holders: int, stream: Stream) -> list[Poly]:
    """f(1), ..., f(holders) over the data primes, for f(x) = s_i + f_1 x + ... of degree threshold - 1."""
    refuse_if(not 1 <= threshold <= holders, "crypto")
    higher = [[stream.below(q, N) for q in DATA_PRIMES] for _ in range(threshold - 1)]
    shares = []
    for x in range(1, holders + 1):
        terms = [scale([x**k] * len(DATA_PRIMES), f) for k, f in enumerate(higher, start=1)]
        shares.append(reduce(add, terms, secret[: len(DATA_PRIMES)]))
    return shares


def lagrange(index: int, openers: Sequence[int]) -> Row:
    """lambda_j = prod m / (m - j) over the other openers m, mod each data prime."""
    factors = []
    for q in DATA_PRIMES:
        factor = 1
        for m in openers:
            if m != index:
                factor = factor * m * pow(m - index, -1, q) % q
        factors.append(factor)
    return factors
