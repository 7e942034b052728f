"""Arithmetic modulo the three 60-bit primes of our ring, vectorised over numpy words.

A polynomial is ``uint64[..., primes, N]`` of residues, one row per prime (RNS). Products are
computed exactly through 32-bit limbs and Montgomery's reduction (Montgomery 1985), so no Python
integer and no extended float is involved.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Residues = NDArray[np.uint64]

N = 8192
"""Ring dimension: coefficients of a polynomial, and slots of a ciphertext."""

KEY_PRIMES: tuple[int, ...] = (1152921504606683137, 1152921504606748673, 1152921504606830593)
"""All primes of the key level; the last one serves SEAL's switch down and carries no data."""

DATA_PRIMES: tuple[int, ...] = KEY_PRIMES[:-1]

PLAIN_MODULUS = 72057594037616641
"""t: the largest 56-bit prime that lets SEAL batch N slots."""

SLOT_BITS = 56

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_R = 1 << 64


def _column(values: list[int]) -> Residues:
    return np.array(values, np.uint64)[:, None]


class Modulus:
    """The primes of one level as columns that broadcast over ``[..., primes, N]``."""

    def __init__(self, primes: tuple[int, ...]) -> None:
        self.primes = primes
        self.q = _column(list(primes))
        self._neg_inverse = _column([(-pow(q, -1, _R)) % _R for q in primes])
        self._r_squared = _column([_R * _R % q for q in primes])

    def add(self, a: Residues, b: Residues) -> Residues:
        """a + b mod q."""
        total = a + b
        return np.asarray(np.where(total >= self.q, total - self.q, total))

    def sub(self, a: Residues, b: Residues) -> Residues:
        """a - b mod q."""
        return np.asarray(np.where(a >= b, a - b, a + self.q - b))

    def mul(self, a: Residues, b: Residues) -> Residues:
        """a * b mod q, element by element: the ring product when both are in NTT form."""
        return self._montgomery(self._montgomery(a, b), self._r_squared)

    def constant(self, value: int) -> Residues:
        """An integer as a column of its residues."""
        return _column([value % q for q in self.primes])

    def _montgomery(self, a: Residues, b: Residues) -> Residues:
        """a * b / 2**64 mod q."""
        low = a * b
        carry = (low != 0).astype(np.uint64)
        total = _high_word(a, b) + _high_word(low * self._neg_inverse, self.q) + carry
        return np.asarray(np.where(total >= self.q, total - self.q, total))


def _high_word(a: Residues, b: Residues) -> Residues:
    """The upper 64 bits of the 128-bit product."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _32, b & _LOW, b >> _32
    middle = a_high * b_low + ((a_low * b_low) >> _32)
    cross = a_low * b_high + (middle & _LOW)
    return np.asarray(a_high * b_high + (middle >> _32) + (cross >> _32))


KEY_LEVEL = Modulus(KEY_PRIMES)
DATA_LEVEL = Modulus(DATA_PRIMES)


def lagrange_at_zero(index: int, subset: tuple[int, ...], prime: int) -> int:
    """lambda_j = prod_{m in subset, m != j} m / (m - j) mod prime, for evaluation points 1, 2, ..."""
    numerator = denominator = 1
    for other in subset:
        if other != index:
            numerator = numerator * other % prime
            denominator = denominator * (other - index) % prime
    return numerator * pow(denominator, -1, prime) % prime


def to_bytes(residues: Residues) -> bytes:
    """Residues, 60 bits each: two words become 15 bytes. shape [...] with an even number of words."""
    words = np.ascontiguousarray(residues).reshape(-1, 2)
    out = np.empty((len(words), 2), "<u8")
    out[:, 0] = words[:, 0] | (words[:, 1] << np.uint64(60))
    out[:, 1] = words[:, 1] >> np.uint64(4)
    return out.view(np.uint8).reshape(-1, 16)[:, :15].tobytes()


def byte_length(*shape: int) -> int:
    """Length of ``to_bytes`` for an array of this shape."""
    return int(np.prod(shape)) // 2 * 15


def from_bytes(raw: bytes, *shape: int) -> Residues:
    """Inverse of ``to_bytes``. Raises ValueError on another length; range is the caller's to check."""
    if len(raw) != byte_length(*shape):
        raise ValueError(f"expected {byte_length(*shape)} bytes for {shape}, got {len(raw)}")
    padded = np.zeros((len(raw) // 15, 16), np.uint8)
    padded[:, :15] = np.frombuffer(raw, np.uint8).reshape(-1, 15)
    pairs = padded.view("<u8")
    low_60 = np.uint64((1 << 60) - 1)
    words = np.empty(pairs.shape, np.uint64)
    words[:, 0] = pairs[:, 0] & low_60
    words[:, 1] = (pairs[:, 1] << np.uint64(4)) | (pairs[:, 0] >> np.uint64(60))
    return words.reshape(shape)
