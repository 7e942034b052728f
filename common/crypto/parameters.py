"""What the ring can carry, as arithmetic: noise, smudging, headroom, and how many sites fit.

Every bound that the secure sum rests on is computed here from the number of sites and key-holders, and
``docs/parameters.md`` derives it. Nothing here is chosen by hand for a run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import HeadroomError
from .ring import DATA_PRIMES, KEY_PRIMES, PLAIN_MODULUS, N

HIDING_BITS = 40
"""Smudging exceeds the noise it hides by at least this many bits, over all openings of a sum together."""

MOST_OPENINGS = 16
"""Sets of key-holders that may be asked to open one sum, one after the other."""

FAILURE_BITS = 40
"""A run fails by noise with probability at most 2**-FAILURE_BITS."""

MOST_CIPHERTEXTS = 1 << 20
"""Ciphertexts that the sums of one run may consist of together: 2**33 coefficients."""

MOST_HOLDERS = 16
MOST_SITES = 1024

STANDARD_MODULUS_BITS = {4096: 109, 8192: 218, 16384: 438}
"""Largest modulus for 128-bit security with a ternary secret (Albrecht et al. 2018, table 1, classical)."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of a federation's sums, and what hides it.

    sites: most contributions in a sum; key_holders: secrets that the joint key is the sum of;
    threshold: key-holders that open together, each of which adds smudging
    """

    sites: int
    key_holders: int
    threshold: int

    @property
    def secret_norm_squared(self) -> int:
        """Bound on the squared 2-norm of s = sum_i s_i; it fails with probability at most 2**-64.

        A coefficient of s is a sum of k ternary ones: mean square 2k/3, at most k**2 (Hoeffding 1963,
        theorem 2).
        """
        k = self.key_holders
        return math.ceil(2 * k * N / 3 + k**2 * math.sqrt(N * 64 * math.log(2) / 2))

    @property
    def honest(self) -> int:
        """Bound B on every coefficient of the noise of an honest sum.

        SEAL encrypts at the key level and drops its last prime, so a fresh ciphertext's noise is r0 + r1 s
        with rounding errors of at most 1/2, plus what the division leaves of the rest (below 1). Over all
        coefficients of a run it is exceeded with probability at most 2**-(FAILURE_BITS + 1).
        """
        spread = self.sites * self.secret_norm_squared
        tail = math.log(2) * (FAILURE_BITS + 2) + math.log(MOST_CIPHERTEXTS * N)
        return math.ceil(2 * self.sites + math.sqrt(spread * tail / 2))

    @property
    def smudging(self) -> int:
        """S: each opener adds noise uniform in [-S, S). The room that Q / 2t leaves, to three binary digits.

        threshold * S + B <= largest_noise(); three digits, so that few candidates are rejected.
        """
        room: int = (largest_noise() - self.honest) // self.threshold
        spare = room.bit_length() - 3
        return room >> spare << spare

    @property
    def hiding_bits(self) -> float:
        """log2(S / B), less what MOST_OPENINGS openings of a sum cost; a sound federation has 40."""
        return math.log2(self.smudging / self.honest / MOST_OPENINGS)


def largest_noise() -> int:
    """Noise up to which a sum decodes exactly: a coefficient rounds to its plaintext below Q / 2t.

    Less 2**20: SEAL scales and rounds in RNS, off by about 2**-58 of a plaintext unit Q / t.
    """
    return math.prod(DATA_PRIMES) // (2 * PLAIN_MODULUS) - (1 << 20)


def check(sites: int, key_holders: int, threshold: int) -> Noise:
    """The noise of this federation. Raises HeadroomError if smudging could not hide it."""
    noise = Noise(sites, key_holders, threshold)
    if noise.hiding_bits < HIDING_BITS:
        raise HeadroomError(
            f"{threshold} of {key_holders} key-holders cannot open sums of {sites} sites safely",
            hint=f"at most {largest_sites(key_holders, threshold)} sites, or fewer key_holders",
        )
    return noise


def largest_sites(key_holders: int, threshold: int) -> int:
    """The most sites whose sums this committee opens safely; 0 if there are none."""
    low, high = 0, MOST_SITES
    while low < high:
        middle = (low + high + 1) // 2
        fits = Noise(middle, key_holders, threshold).hiding_bits >= HIDING_BITS
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def modulus_bits() -> int:
    """Bits of the largest modulus under which a key is published: security is that of (N, these bits)."""
    return math.prod(KEY_PRIMES).bit_length()
