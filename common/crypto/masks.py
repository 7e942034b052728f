"""Pairwise masks: a partial decryption by itself is uniform, only all of an opening together say something.

Every two key-holders i < j share a key P_ij. In an opening by the set J, key-holder j adds

    mask_j = sum_{m in J, m > j} PRG(P_jm) - sum_{m in J, m < j} PRG(P_mj)   mod each data prime,

where the stream depends on the plan, the step, J and the very c1 that is opened. The masks of J cancel in the
sum; those of a smaller set, or of key-holders that were shown different sums, do not. So what is seen of an
opening is only s c1 plus smudging, and a sum may be opened again by another J when somebody in the first
fails. Bare answers would say more: lambda_j is a small fraction such as 8/3, and to t - 1 colluders, who know
the other shares, a small multiple of one answer shows 8 v + 9 e: the ciphertext's noise v modulo 9, which no
smudging e hides. (Pairwise masks: Bonawitz et al. 2017, section 4; those between two honest key-holders are
enough.)
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..csprng import Csprng
from .ring import DATA_LEVEL, DATA_PRIMES, N, Residues, to_bytes
from .secret_file import damaged, read_secret, write_secret

PAIR_BYTES = 32


class PairKeys:
    """One key-holder's keys, by the index (1-based) of the other."""

    def __init__(self, index: int, keys: dict[int, bytes]) -> None:
        self.index = index
        self._keys = keys

    def __repr__(self) -> str:
        return f"PairKeys(index={self.index}, secret)"

    def mask(self, openers: tuple[int, ...], plan: str, step: str, c1: Residues) -> Residues:
        """mask_j for the opening of ``c1``, uint64[chunks, 2, N], by the distinct ``openers``."""
        order = tuple(sorted(openers))
        names = ",".join(map(str, order))
        opened = hashlib.sha256(to_bytes(c1)).hexdigest()
        info = f"fedcgan/v1/mask/{plan}/{step}/{names}/{opened}".encode()
        total = np.zeros_like(c1)
        for other in order:
            if other != self.index:
                stream = _expand(
                    HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(self._keys[other]), len(c1)
                )
                total = DATA_LEVEL.add(total, stream) if other > self.index else DATA_LEVEL.sub(total, stream)
        return total

    def save(self, path: Path) -> None:
        """Keep the keys in a file of mode 0600."""
        pairs = [bytes([other]) + key for other, key in sorted(self._keys.items())]
        write_secret(path, bytes([self.index]) + b"".join(pairs))

    @classmethod
    def load(cls, path: Path) -> PairKeys:
        """Read keys written by ``save``."""
        raw, size = read_secret(path), 1 + PAIR_BYTES
        with damaged(path):
            if len(raw) % size != 1:
                raise ValueError(f"{len(raw)} bytes")
            pairs = [raw[start : start + size] for start in range(1, len(raw), size)]
            return cls(raw[0], {pair[0]: pair[1:] for pair in pairs})


def _expand(key: bytes, chunks: int) -> Residues:
    """Uniform residues, uint64[chunks, 2, N]: all of the first prime, then all of the second."""
    stream = Csprng.agreed(key)
    return np.stack([stream.below(prime, chunks, N) for prime in DATA_PRIMES], axis=1)
