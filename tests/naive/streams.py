"""Pseudo-random integers: HKDF and ChaCha20 as in the protocol, SHAKE-256 for what a vector makes up."""

import hashlib
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .ring import N, Row


def hkdf(secret: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA-256 without salt (RFC 5869)."""
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret)


class Stream:
    """The ChaCha20 keystream of a key: counter and nonce start at zero (RFC 8439)."""

    def __init__(self, key: bytes) -> None:
        self._stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()

    def words(self, count: int) -> Row:
        """The next 64-bit words, little-endian."""
        raw = self._stream.update(bytes(8 * count))
        return [int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8)]

    def below(self, bound: int, count: int) -> Row:
        """Integers in [0, bound): the low bits of a word each; who is too large takes a later word.

        One pass draws a word for every open place, in order; the next pass for those still open.
        """
        modulus = 2 ** (bound - 1).bit_length()
        out = [word % modulus for word in self.words(count)]
        while still := [place for place, value in enumerate(out) if value >= bound]:
            for place, word in zip(still, self.words(len(still)), strict=True):
                out[place] = word % modulus
        return out


def made_up(seed: str, label: str, count: int = 32) -> bytes:
    """Bytes of a vector's secret: SHAKE-256("seed/label")."""
    return hashlib.shake_256(f"{seed}/{label}".encode()).digest(count)


def ternary(seed: str, label: str) -> Row:
    """N coefficients in {-1, 0, 1}: bytes below 255, mod 3, minus 1."""
    good: Iterator[int] = (byte for byte in made_up(seed, label, 2 * N) if byte < 255)
    return [next(good) % 3 - 1 for _ in range(N)]


def small(seed: str, label: str) -> Row:
    """N coefficients in [-21, 21]: of 42 bits of six bytes, ones among the low 21 minus ones above them."""
    raw = made_up(seed, label, 6 * N)
    words = [int.from_bytes(raw[at : at + 6], "little") for at in range(0, len(raw), 6)]
    return [(word % 2**21).bit_count() - (word // 2**21 % 2**21).bit_count() for word in words]
