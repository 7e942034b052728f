"""Randomness that protects somebody: a ChaCha20 keystream keyed by the operating system.

Noise, Poisson sampling, stochastic rounding and key material draw from here, never from the
seeded generators of numpy or torch, whose streams can be reconstructed from their outputs.
"""

from __future__ import annotations

import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray

_TWO_TO_MINUS_53 = 2.0**-53


class Csprng:
    """A stream of uniform bits with vectorised views of it.

    Guarantees: without the 32-byte key the output is indistinguishable from uniform bits
    (ChaCha20, RFC 8439). The key comes from ``os.urandom`` and is never stored.
    """

    def __init__(self) -> None:
        self._start(os.urandom(32), bytes(4) + os.urandom(12))  # a counter of blocks comes first

    @classmethod
    def agreed(cls, key: bytes) -> Csprng:
        """The stream of a 32-byte secret that two parties share: both get the same. Never for noise."""
        stream = cls.__new__(cls)
        stream._start(key, bytes(16))
        return stream

    def _start(self, key: bytes, nonce: bytes) -> None:
        self._stream = Cipher(algorithms.ChaCha20(key, nonce), mode=None).encryptor()

    def bytes(self, count: int) -> bytes:
        """``count`` uniform bytes."""
        return self._stream.update(bytes(count))

    def uint64(self, *shape: int) -> NDArray[np.uint64]:
        """Uniform 64-bit words of the given shape."""
        count = int(np.prod(shape))
        return np.frombuffer(self.bytes(8 * count), "<u8").reshape(shape).astype(np.uint64)

    def below(self, bound: int, *shape: int) -> NDArray[np.uint64]:
        """Uniform integers in [0, bound), exactly: candidates outside are rejected, never folded.

        Rejected places are filled in order from the words that follow, until none is left.
        bound: 1 .. 2**63
        """
        mask = np.uint64((1 << (bound - 1).bit_length()) - 1)
        words = self.uint64(*shape) & mask
        while (bad := words >= np.uint64(bound)).any():
            words[bad] = self.uint64(int(bad.sum())) & mask
        return words

    def uniform(self, *shape: int) -> NDArray[np.float64]:
        """Uniform float64 in [0, 1), 53 bits each."""
        return (self.uint64(*shape) >> np.uint64(11)).astype(np.float64) * _TWO_TO_MINUS_53

    def gaussian(self, *shape: int) -> NDArray[np.float64]:
        """Standard normal float64 (Box and Muller 1958)."""
        count = int(np.prod(shape))
        half = (count + 1) // 2
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(half)))
        angle = (2.0 * np.pi) * self.uniform(half)
        pair = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        return pair[:count].reshape(shape)

    def stochastic_round(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Round down or up at random so that the expectation is the value itself."""
        return np.floor(values + self.uniform(*values.shape)).astype(np.int64)
