"""From mechanisms to (epsilon, delta), and back: privacy loss distributions by dp_accounting.

Guarantees: the epsilon returned holds for the adaptive composition of all mechanisms under add/remove
of one unit (Koskela et al. 2020; Doroshenko et al. 2022, pessimistic discretisation). For a unit whose
records are at one site, the epsilon of the site is that of the release by parallel composition (McSherry
2009, Theorem 4); for a person at several sites theirs add up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache, reduce
from typing import TYPE_CHECKING

from ..errors import PrivacyTargetError
from .mechanism import GaussianSum, Mechanism, SampledGaussian

if TYPE_CHECKING:  # seconds of imports that many commands do not need
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

_WIDEST = 1e-3
"""The widest grid of the privacy loss, in units of epsilon."""
_GRID_PER_DEVIATION = 0.2
"""Grid / standard deviation of the loss of one step.

The pessimistic discretisation puts each loss g apart onto two grid points and so adds at most g**2 / 4 to the
variance of a step's loss. Composition adds variances: of n steps with variance v each, epsilon (roughly
proportional to the deviation of the sum) grows by the factor 1 + g**2 / 8v, whatever n is. With
g = sqrt(v) / 5 that is 0.5 %; a fixed grid fails as soon as many small steps are composed (325,000 steps
with v = 1e-6 at g = 1e-3: 10 % too much). Tests compare with a grid ten times as fine."""
_MOST_DIVERGENCE = 50.0  # exp of more is no finite deviation; the widest grid holds long before
_MOST_NOISE = 1e6  # that is told from more: to account for less is on the safe side
_FINEST = 1e-12  # where there is hardly any loss
_MOST_POINTS = 1 << 27  # of a loss distribution, which bounds time and memory; usual plans have 1e5
_NOISE_RANGE = (0.3, 1000.0)
_BRACKET = 4.0  # noise is searched within this factor
_PRECISION = 1e-4  # of a calibrated noise multiplier, relative


def epsilon(mechanisms: Iterable[Mechanism], delta: float) -> float:
    """The epsilon of everything in ``mechanisms`` together; 0 for nothing."""
    return _epsilon(_merged(mechanisms), delta)


def deltas(mechanisms: Iterable[Mechanism], epsilons: Sequence[float]) -> list[float]:
    """The delta at each epsilon >= 0 of everything together: its whole privacy profile; 0 for nothing."""
    merged = _merged(mechanisms)
    return list(_composed(merged).get_delta_for_epsilon(list(epsilons))) if merged else [0.0] * len(epsilons)


def calibrate(spend: Callable[[float], list[Mechanism]], target: float, delta: float) -> float:
    """The smallest noise multiplier for which ``spend(noise_multiplier)`` stays within the target.

    Raises PrivacyTargetError with the smallest reachable epsilon if even the largest noise exceeds it.
    """
    least_noise, high = _NOISE_RANGE
    if (least := epsilon(spend(high), delta)) > target:
        raise PrivacyTargetError(
            f"epsilon {target:g} cannot be reached: {least:.4g} is spent even with noise {high:g}",
            hint="raise epsilon, or use fewer steps",
        )
    # from above, so that no loss far beyond the target is computed: its distribution could fill memory
    while epsilon(spend(low := max(least_noise, high / _BRACKET)), delta) <= target:
        if low == least_noise:
            return low
        high = low

    from scipy.optimize import brentq

    def excess(log_noise: float) -> float:
        """Zero at the wanted noise; logarithms make it nearly straight."""
        return math.log(max(epsilon(spend(math.exp(log_noise)), delta), 1e-9) / target)

    root = float(brentq(excess, math.log(low), math.log(high), xtol=_PRECISION / 4))
    return math.exp(root + _PRECISION / 2)  # on the safe side of the root


def repeated(mechanism: Mechanism, count: int) -> list[Mechanism]:
    """``count`` times a mechanism, in as few parts as possible."""
    if isinstance(mechanism, SampledGaussian):
        return [mechanism.model_copy(update={"steps": mechanism.steps * count})]
    return [mechanism] * count


def within(mechanisms: Iterable[Mechanism], limit: float, delta: float) -> bool:
    """Whether ``epsilon(mechanisms, delta)`` is at most ``limit``, quick where thousands are charged in turn.

    Asks for upper bounds first: the same with more steps and less noise, of which there are few, so that they
    are computed once. Exact near the limit; nothing is ever rounded down.
    """
    exact = _merged(mechanisms)
    questions = (_dominating(exact, 8, 400), _dominating(exact, 64, 50), exact)
    return any(_epsilon(question, delta) <= limit for question in questions)


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
    """The same privacy loss in fewest parts, in a canonical order: composition does not see order.

    Gaussian sums compose to one whose 1 / noise**2 is the sum of theirs, exactly, also when chosen adaptively
    (Dong, Roth and Su 2022, Corollary 3.3). Equal sampled steps are counted together. Noise above the most
    that is told apart counts as that much: of a loss that small, a grid fine enough would fill memory.
    """
    steps: Counter[tuple[float, float]] = Counter()
    sums = []
    for mechanism in mechanisms:
        sigma = min(mechanism.noise_multiplier, _MOST_NOISE)
        if isinstance(mechanism, SampledGaussian):
            steps[sigma, mechanism.sample_rate] += mechanism.steps
        else:
            sums.append(sigma)
    if len(sums) > 1:
        sums = [1 / math.sqrt(math.fsum(1 / sigma / sigma for sigma in sums))]
    return (
        *(GaussianSum(noise_multiplier=sigma) for sigma in sums),
        *(
            SampledGaussian(noise_multiplier=sigma, sample_rate=rate, steps=count)
            for (sigma, rate), count in sorted(steps.items())
        ),
    )


def _dominating(mechanisms: tuple[Mechanism, ...], parts: int, multiple: int) -> tuple[Mechanism, ...]:
    """Mechanisms with at least this privacy loss, from a small set.

    Steps go up to a multiple of ``multiple`` and to one of ``parts`` numbers between powers of two, noise of
    a sum goes down to one of ``parts`` values between powers of two.
    """
    fewer: list[Mechanism] = []
    for mechanism in mechanisms:
        if isinstance(mechanism, SampledGaussian):
            grain = max(multiple, 2 ** max(0, mechanism.steps.bit_length() - 1) // parts)
            more = -(-mechanism.steps // grain) * grain
            fewer.append(mechanism.model_copy(update={"steps": more}))
        else:
            exponent = math.floor(math.log2(mechanism.noise_multiplier) * parts) / parts
            less = min(2.0**exponent, mechanism.noise_multiplier)
            fewer.append(GaussianSum(noise_multiplier=less))
    return tuple(fewer)


@cache
def _epsilon(mechanisms: tuple[Mechanism, ...], delta: float) -> float:
    return float(_composed(mechanisms).get_epsilon_for_delta(delta)) if mechanisms else 0.0


def _composed(mechanisms: tuple[Mechanism, ...]) -> PrivacyLossDistribution:
    """The privacy loss of all of at least one. Raises PrivacyTargetError if it is too much to compute."""
    grid = _grid(mechanisms)
    if _points(mechanisms, grid) > _MOST_POINTS:
        raise PrivacyTargetError("this much privacy loss is not computed: it protects nobody")
    losses = [_loss(mechanism, grid) for mechanism in mechanisms]
    return reduce(lambda one, other: one.compose(other), losses)


def _loss(mechanism: Mechanism, grid: float) -> PrivacyLossDistribution:
    """The privacy loss of a mechanism, all its steps together."""
    if isinstance(mechanism, SampledGaussian):
        one = _gaussian_loss(mechanism.noise_multiplier, mechanism.sample_rate, grid)
        return one.self_compose(mechanism.steps)
    return _gaussian_loss(mechanism.noise_multiplier, 1.0, grid)


@lru_cache(maxsize=16)  # in a run it is asked for with ever other numbers of steps
def _gaussian_loss(noise_multiplier: float, sample_rate: float, grid: float) -> PrivacyLossDistribution:
    from dp_accounting import NeighboringRelation
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    return from_gaussian_mechanism(
        standard_deviation=noise_multiplier,
        value_discretization_interval=grid,
        sampling_prob=sample_rate,
        neighboring_relation=NeighboringRelation.ADD_OR_REMOVE_ONE,
    )


def _grid(mechanisms: tuple[Mechanism, ...]) -> float:
    """A grid that does not show in the result, however many steps there are."""
    steps = sum(m.steps if isinstance(m, SampledGaussian) else 1 for m in mechanisms)
    variance = math.fsum(map(_variance, mechanisms))
    wanted = min(_WIDEST, max(_FINEST, _GRID_PER_DEVIATION * math.sqrt(variance / steps)))
    # rounded down to one of few values, so that the loss of a step is computed once
    return math.exp2(math.floor(4 * math.log2(wanted)) / 4)


def _points(mechanisms: tuple[Mechanism, ...], grid: float) -> float:
    """About how many values of the loss are in memory: as far as its mean and ten deviations reach."""
    total = 0.0
    for mechanism in mechanisms:
        sigma = mechanism.noise_multiplier
        if isinstance(mechanism, SampledGaussian):  # sampling only makes it less
            total += min(_variance(mechanism), mechanism.steps / sigma / sigma)
        else:
            total += 1 / sigma / sigma
    return (total / 2 + 10 * math.sqrt(total)) / grid


def _variance(mechanism: Mechanism) -> float:
    """Variance of the privacy loss to first order, summed over steps.

    1 / sigma**2; with sampling rate**2 (exp(1 / sigma**2) - 1), as in the limit (Bu et al. 2020, Theorem 5).
    """
    sigma = mechanism.noise_multiplier
    square = min(1 / sigma / sigma, _MOST_DIVERGENCE)
    if isinstance(mechanism, SampledGaussian):
        return mechanism.steps * mechanism.sample_rate**2 * math.expm1(square)
    return square
