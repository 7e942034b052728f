"""The public half of the threshold scheme: what the server and everybody may compute.

Any t of the k key-holders open a sum together; fewer open nothing. Shamir 1979 over the data
primes, key generation without a dealer after Mouchet et al. 2021 (multiparty BFV), section 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ..errors import CryptoError, NotEnoughSitesError
from .bfv import PublicKey, decode
from .ring import DATA_LEVEL, DATA_PRIMES, KEY_LEVEL, KEY_PRIMES, Modulus, N, Residues, to_bytes


def common_reference(seed: bytes) -> Residues:
    """The public polynomial ``a``: uint64[3, N], expanded from ``seed`` by SHAKE-256.

    Nobody chooses it: the seed hashes the plan and a nonce of every site.
    """
    rows = []
    for index, prime in enumerate(KEY_PRIMES):
        label = b"fedcgan/v1/common-reference/%d/" % index
        # 2 N candidates of 60 bits; a prime just above 2**60 - 2**20 refuses one in 2**40
        words = np.frombuffer(hashlib.shake_256(label + seed).digest(16 * N), "<u8")
        words = words & np.uint64((1 << 60) - 1)
        rows.append(words[words < np.uint64(prime)][:N])
    return np.stack(rows)


def commitment(piece: Residues) -> bytes:
    """SHA-256 of a piece ``b_i``, sent before any piece is shown (no rogue keys)."""
    return hashlib.sha256(b"fedcgan/v1/key-piece/" + to_bytes(piece)).digest()


def joint_key(pieces: Sequence[Residues], a: Residues) -> PublicKey:
    """b = sum_i b_i = -(a sum_i s_i + sum_i e_i): the key of a secret that exists nowhere."""
    return PublicKey(reduce(KEY_LEVEL.add, pieces), a)


def combine(ciphertext_sum: Residues, partials: Mapping[int, Residues], threshold: int) -> NDArray[np.int64]:
    """Open a sum: decode(c0 + sum_j d_j). Returns the slots, int64[chunks, N].

    ciphertext_sum: uint64[chunks, 2, 2, N]; partials: key-holder's index -> uint64[chunks, 2, N],
    all made for this very set of key-holders.
    Raises NotEnoughSitesError below the threshold. Wrong partials give slots that no packing accepts.
    """
    if len(partials) < threshold:
        raise NotEnoughSitesError(
            f"{len(partials)} partial decryptions, {threshold} are needed to open a sum",
            hint="wait until enough key-holders are online and resume",
        )
    for partial in partials.values():
        check_range(partial, DATA_LEVEL)
        if partial.shape != ciphertext_sum[:, 0].shape:
            raise CryptoError("a partial decryption of another length")
    return decode(reduce(DATA_LEVEL.add, partials.values(), ciphertext_sum[:, 0]))


def check_range(residues: Residues, modulus: Modulus) -> Residues:
    """Raise CryptoError unless every residue is below its prime; return them."""
    if (residues >= modulus.q).any():
        raise CryptoError("residues out of range")
    return residues


CIPHERTEXT_SHAPE = (2, len(DATA_PRIMES), N)
PARTIAL_SHAPE = (len(DATA_PRIMES), N)
PIECE_SHAPE = (len(KEY_PRIMES), N)
