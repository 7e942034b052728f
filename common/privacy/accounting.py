"""From mechanisms to (epsilon, delta), and back: privacy loss distributions by dp_accounting.

Guarantees: the epsilon returned holds for the adaptive composition of all mechanisms under
add/remove of one record (Koskela et al. 2020; Doroshenko et al. 2022, pessimistic discretisation).
Records belong to one site each, so by parallel composition (McSherry 2009, Theorem 4) the epsilon
of a site is the epsilon of the released model.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache

from dp_accounting import (
    DpEvent,
    GaussianDpEvent,
    NeighboringRelation,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
)
from dp_accounting.pld import PLDAccountant
from scipy.optimize import brentq

from ..errors import PrivacyTargetError
from .mechanism import GaussianSum, Mechanism, SampledGaussian

_COARSE, _FINE = 1e-3, 1e-4
"""Grids of the privacy loss: both are pessimistic; the coarse one costs less than 1e-4 of epsilon up to
``_FEW_STEPS`` steps (a test compares them)."""
_FEW_STEPS = 3000
_NOISE_RANGE = (0.3, 1000.0)
_PRECISION = 1e-4  # of a calibrated noise multiplier, relative


def epsilon(mechanisms: Iterable[Mechanism], delta: float) -> float:
    """The epsilon of everything in ``mechanisms`` together; 0 for nothing."""
    return _epsilon(_merged(mechanisms), delta)


def calibrate(spend: Callable[[float], list[Mechanism]], target: float, delta: float) -> float:
    """The smallest noise multiplier for which ``spend(noise_multiplier)`` stays within the target.

    Raises PrivacyTargetError with the smallest reachable epsilon if even the largest noise exceeds it.
    """
    low, high = _NOISE_RANGE
    if (least := epsilon(spend(high), delta)) > target:
        raise PrivacyTargetError(
            f"epsilon {target:g} cannot be reached: {least:.4g} is spent even with noise {high:g}",
            hint="raise epsilon, or use fewer steps",
        )
    if epsilon(spend(low), delta) <= target:
        return low

    def excess(log_noise: float) -> float:
        """Zero at the wanted noise; logarithms make it nearly straight."""
        return math.log(max(epsilon(spend(math.exp(log_noise)), delta), 1e-9) / target)

    root = float(brentq(excess, math.log(low), math.log(high), xtol=_PRECISION / 4))
    return math.exp(root + _PRECISION / 2)  # on the safe side of the root


def rounded_up(value: float) -> float:
    """Four decimals, never less than the value: a promise is not rounded down."""
    return math.ceil(value * 1e4) / 1e4


def check_target(target_epsilon: float, delta: float) -> None:
    """Raise PrivacyTargetError unless the target is one that protects somebody."""
    if not 0.01 <= target_epsilon <= 20:
        raise PrivacyTargetError(
            f"epsilon {target_epsilon:g} is outside 0.01 .. 20",
            hint="usual targets lie between 0.5 and 10; below 0.01 nothing can be learnt",
        )
    if not 1e-12 <= delta <= 1e-4:
        raise PrivacyTargetError(
            f"delta {delta:g} is outside 1e-12 .. 1e-4", hint="take less than 1 / number of records"
        )


def _merged(mechanisms: Iterable[Mechanism]) -> tuple[Mechanism, ...]:
    """Equal sampled steps counted together, in a canonical order: composition does not see order."""
    steps: Counter[tuple[float, float]] = Counter()
    sums = []
    for mechanism in mechanisms:
        if isinstance(mechanism, SampledGaussian):
            steps[mechanism.noise_multiplier, mechanism.sample_rate] += mechanism.steps
        else:
            sums.append(mechanism.noise_multiplier)
    return (
        *(GaussianSum(noise_multiplier=sigma) for sigma in sorted(sums)),
        *(
            SampledGaussian(noise_multiplier=sigma, sample_rate=rate, steps=count)
            for (sigma, rate), count in sorted(steps.items())
        ),
    )


@cache
def _epsilon(mechanisms: tuple[Mechanism, ...], delta: float) -> float:
    steps = sum(m.steps for m in mechanisms if isinstance(m, SampledGaussian))
    grid = _COARSE if steps <= _FEW_STEPS else _FINE
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE, grid)
    for mechanism in mechanisms:
        accountant.compose(_event(mechanism))
    return float(accountant.get_epsilon(delta)) if mechanisms else 0.0


def _event(mechanism: Mechanism) -> DpEvent:
    """A mechanism in dp_accounting's words."""
    noise = GaussianDpEvent(mechanism.noise_multiplier)
    if isinstance(mechanism, SampledGaussian):
        return SelfComposedDpEvent(PoissonSampledDpEvent(mechanism.sample_rate, noise), mechanism.steps)
    return noise
