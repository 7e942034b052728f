"""Integer noise in shares: a discrete Gaussian drawn around a real value, so that rounding and noise are one.

Each site turns a real value c (in grid steps) into an integer drawn from N_Z(c, sigma**2), that is with
probability proportional to exp(-(z - c)**2 / (2 sigma**2)). Nobody adds the whole noise; the sum does.

Formal guarantees (proofs in docs/privacy.md, sections 2 and 3):

1. *Rounding costs nothing.* N_Z(c, sigma**2) is, up to a factor of 1 + SLACK, what one gets by adding
   continuous noise N(0, sigma**2 - SMOOTHING**2) to c and then rounding at random in a way that knows only
   the result (Peikert 2010, theorem 3.1, for the lattice Z). So it is at least as private as that Gaussian,
   whatever the dimension; no sensitivity is added for rounding.
2. *Shares add up.* The sum of h such integers is within a factor of 1 + h SLACK of
   N_Z(sum of c, h sigma**2), if sigma >= sqrt(2) SMOOTHING (compare Kairouz, Liu, Steinke 2021, section 3).

Together: h honest shares protect the sum like a continuous Gaussian of variance h sigma**2 - SMOOTHING**2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..csprng import Csprng
from ..errors import HeadroomError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SMOOTHING = 1.5
"""s, in grid steps: 2 exp(-2 pi**2 s**2) bounds how far a Gaussian over Z depends on where it is centred."""

SLACK = 4 * math.exp(-2 * (math.pi * SMOOTHING) ** 2)
"""Below 3e-19, for each coordinate and share."""

TAIL = 12.0
"""Standard deviations of room for a share; one value exceeds it with probability below 4e-33."""

FEWEST_STEPS = 15.0
"""Grid steps in the standard deviation of the whole noise: SMOOTHING then takes 1 % of its variance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseGrid:
    """Real coordinates in [low, high] with one share of noise, as integers in [0, max_value].

    noise: standard deviation that ``shares`` honest shares give the sum, in the unit of the values
    max_value: the largest integer a site may send
    Raises HeadroomError if the grid is too coarse for the guarantees above.
    """

    low: float
    high: float
    noise: float
    shares: int
    max_value: int

    def __post_init__(self) -> None:
        coarse = self.noise * self.steps < FEWEST_STEPS or self.share < math.sqrt(2) * SMOOTHING
        if not coarse and self.low < self.high and self.shares >= 1:
            return
        raise HeadroomError(
            f"noise {self.noise:g} on [{self.low:g}, {self.high:g}] needs more than {self.max_value} levels",
            hint="a smaller most_records_per_site, fewer sites, a larger collusion, or more noise",
        )

    @property
    def steps(self) -> float:
        """Grid steps in one unit: as many as the room allows."""
        room = self.max_value - 2 - 2 * TAIL * SMOOTHING / math.sqrt(self.shares)
        return room / (self.high - self.low + 2 * TAIL * self.noise / math.sqrt(self.shares))

    @property
    def share(self) -> float:
        """Standard deviation of one site's noise, in grid steps."""
        return math.sqrt(((self.noise * self.steps) ** 2 + SMOOTHING**2) / self.shares)

    @property
    def _margin(self) -> int:
        return math.ceil(TAIL * self.share)

    def to_integers(self, values: Array, random: Csprng) -> Integers:
        """A site's exact values with its share of noise: ``int64[count]`` in [0, max_value].

        Values are clipped to [low, high] before the noise, which moves no two of them apart.
        Raises HeadroomError if a value is not finite, or noise left its room.
        """
        if not np.isfinite(values).all():
            raise HeadroomError("a contribution is not finite; nothing was sent")
        centres = (np.clip(values, self.low, self.high) - self.low) * self.steps
        noisy = discrete_gaussian(centres, self.share, random) + self._margin
        if noisy.min() < 0 or noisy.max() > self.max_value:
            raise HeadroomError("noise beyond its room; nothing was sent")
        return noisy

    def sum_to_values(self, sums: Integers, contributors: int) -> Array:
        """The noisy sum of ``contributors`` sites in the unit of the values: ``float64[count]``."""
        return (sums - contributors * self._margin) / self.steps + contributors * self.low


def seen(noise_multiplier: float, shares: int, honest: int) -> float:
    """The noise multiplier left to somebody who knows all but ``honest`` shares of a sum's noise.

    noise_multiplier: of a sum of ``shares`` honest shares, SMOOTHING already taken off. With other numbers
    SMOOTHING is taken off other variances: it is at most (SMOOTHING / FEWEST_STEPS)**2 = 1 % of the whole,
    and at most half of a single share's, which has at least 2 SMOOTHING**2.
    """
    ratio = honest / shares
    lost = max(0.0, 1.0 - ratio) * (SMOOTHING / FEWEST_STEPS) ** 2
    return noise_multiplier * math.sqrt(max(ratio - lost, ratio / 2))


def discrete_gaussian(centres: Array, sigma: float, random: Csprng) -> Integers:
    """Integers from N_Z(centre, sigma**2), independent, one for each centre: ``int64`` of the same shape.

    sigma: at least 1

    Rejection from a two-sided geometric envelope (Canonne, Kamath, Steinke 2020, algorithm 3, here with a
    centre). Coins are 63-bit words compared with exp(.) in float64: a probability is off by a relative 2**-48
    within five standard deviations; what lies beyond is off by less than 1e-20 altogether.
    """
    nearest = np.rint(centres).ravel()
    fraction = (centres.ravel() - nearest).astype(np.float64)
    width = math.floor(sigma) + 1
    drawn = np.zeros(len(nearest), np.int64)
    pending = np.arange(len(nearest))
    while len(pending):
        offset = fraction[pending]
        words = random.uint64(3, len(pending))
        low = random.below(width, len(pending)).astype(np.int64)
        fold = np.searchsorted(_FOLDS, words[0])
        size = low + width * fold
        value = np.where(words[1] & np.uint64(1), size, -size)
        peak = (sigma / width) ** 2 / 2 + np.abs(offset) / width
        log_accept = fold - (value - offset) ** 2 / (2 * sigma**2) - peak
        coin = words[2] >> np.uint64(1)
        accept = coin < np.ldexp(np.exp(log_accept), 63).astype(np.uint64)
        accept &= (size > 0) | (words[1] & np.uint64(1)).astype(bool)  # zero has no second sign
        drawn[pending[accept]] = value[accept]
        pending = pending[~accept]
    return (drawn + nearest.astype(np.int64)).reshape(centres.shape)


_FOLDS = np.array([2**64 - int(math.exp(-k) * 2**64) for k in range(1, 44)], np.uint64)
"""Word w has fold k, which happens with probability exp(-k) - exp(-k - 1)."""
