"""Secrets of a key-holder: its piece of the joint key and its share of the joint secret.

Nothing of the server imports this module; an import contract and a test see to it. (A rehearsal plays a site
of its own in the coordinator's process, by name, with made-up records and a key that is good for nothing
else.) Nothing here has a textual form, and the only way out is a file of mode 0600 in the site's own folder.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import numpy as np

from ..csprng import Csprng
from ..errors import CryptoError, NotEnoughSitesError
from .bfv import sample_key_pair, small_to_ntt
from .ring import (
    DATA_LEVEL,
    DATA_PRIMES,
    KEY_LEVEL,
    KEY_PRIMES,
    N,
    Residues,
    from_bytes,
    lagrange_at_zero,
    to_bytes,
)
from .secret_file import damaged, read_secret, write_secret


class KeyPiece:
    """One key-holder's secret ``s_i`` with its error ``e_i``.

    Guarantees: ``s_i`` and ``e_i`` are sampled by SEAL and leave this object only as ``b_i``
    (a ring-LWE sample) and as Shamir shares.
    """

    def __init__(self) -> None:
        self._secret, self._minus_error = sample_key_pair()

    def __repr__(self) -> str:
        return "KeyPiece(secret)"

    def public(self, a: Residues) -> Residues:
        """b_i = -(a s_i + e_i), uint64[3, N]."""
        return KEY_LEVEL.sub(self._minus_error, KEY_LEVEL.mul(a, self._secret))

    def deal(self, threshold: int, holders: int) -> list[Residues]:
        """Shamir shares f(1), ..., f(holders), each uint64[2, N], f(0) = s_i, deg f = threshold - 1.

        Guarantees: any ``threshold - 1`` shares are uniform and independent of ``s_i``.
        """
        if not 1 <= threshold <= holders:
            raise CryptoError(f"{threshold=} is not in 1..{holders}")
        random = Csprng()
        coefficients = [self._secret[: len(DATA_PRIMES)]]
        for _ in range(threshold - 1):
            rows = [random.below(prime, N) for prime in DATA_PRIMES]
            coefficients.append(np.stack(rows))
        shares = []
        for point in range(1, holders + 1):
            x = DATA_LEVEL.constant(point)
            value = coefficients[-1]
            for coefficient in reversed(coefficients[:-1]):
                value = DATA_LEVEL.add(DATA_LEVEL.mul(value, x), coefficient)
            shares.append(value)
        return shares

    def save(self, path: Path) -> None:
        """Write the piece to a file that only its owner reads."""
        write_secret(path, to_bytes(np.stack([self._secret, self._minus_error])))

    @classmethod
    def load(cls, path: Path) -> KeyPiece:
        """Read a piece written by ``save``."""
        piece = cls.__new__(cls)
        with damaged(path):
            piece._secret, piece._minus_error = from_bytes(read_secret(path), 2, len(KEY_PRIMES), N)
        return piece


class KeyShare:
    """One key-holder's share ``S_j = sum_i f_i(j)`` of the joint secret."""

    def __init__(self, index: int, received: list[Residues]) -> None:
        self.index = index
        self._share = reduce(DATA_LEVEL.add, received)

    def __repr__(self) -> str:
        return f"KeyShare(index={self.index}, secret)"

    def partial_decryption(
        self, c1: Residues, subset: tuple[int, ...], threshold: int, smudging: int, mask: Residues
    ) -> Residues:
        """d_j = lambda_j S_j c1 + e + mask, with e uniform in [-smudging, smudging) from a CSPRNG.

        c1: uint64[chunks, 2, N] in NTT form; subset: the indices (1-based) that open together;
        smudging: ``Noise.smudging`` of the federation; mask: of ``PairKeys.mask``, uint64[chunks, 2, N].

        Guarantees: what the partials of a subset add up to says nothing of S_j beyond the sum:
        smudging is 2**40 times the noise it has to hide (Asharov et al. 2012, lemma 1). One partial by itself
        is uniform: the mask. Without it, factors lambda_j of several subsets would tie noise and smudging.
        Raises NotEnoughSitesError unless the subset is ``threshold`` distinct key-holders with this one.
        """
        if len({*subset}) != threshold or len(subset) != threshold or self.index not in subset:
            raise NotEnoughSitesError(
                f"key-holder {self.index} does not open with {sorted(subset)}: "
                f"{threshold} distinct key-holders are needed, itself among them"
            )
        factors = [lagrange_at_zero(self.index, subset, prime) for prime in DATA_PRIMES]
        scaled = DATA_LEVEL.mul(self._share, np.array(factors, np.uint64)[:, None])
        noise = Csprng().below(2 * smudging, len(c1), N).astype(np.int64) - smudging
        hidden = DATA_LEVEL.add(small_to_ntt(noise), mask)
        return DATA_LEVEL.add(DATA_LEVEL.mul(c1, scaled), hidden)

    def save(self, path: Path) -> None:
        """Write the share to a file that only its owner reads."""
        write_secret(path, self.index.to_bytes(2, "big") + to_bytes(self._share))

    @classmethod
    def load(cls, path: Path) -> KeyShare:
        """Read a share written by ``save``."""
        raw = read_secret(path)
        with damaged(path):
            return cls(int.from_bytes(raw[:2], "big"), [from_bytes(raw[2:], len(DATA_PRIMES), N)])
