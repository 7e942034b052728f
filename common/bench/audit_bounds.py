"""From an attacker's right and wrong guesses to a lower bound on epsilon: statistics alone, no mechanism.

Each function says under which claim its bound holds. ``failure`` is the probability, over everything random,
that the bound exceeds what is claimed although the claim is true.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom, norm

Scores = NDArray[np.float64]

_MOST_EPSILON = 50.0
_SURE = 1e-9  # a Gaussian never tells with certainty: beyond this its mean is cut off


@dataclass(frozen=True, slots=True)
class Errors:
    """Of one fixed test that says "in" or "out": false_in of ``without`` trials, false_out of ``inside``."""

    false_in: int
    without: int
    false_out: int
    inside: int

    def upper(self, failure: float) -> tuple[float, float]:
        """Upper bounds of both rates, together right with probability 1 - failure (Bonferroni)."""
        return (
            at_most(self.false_in, self.without, failure / 2),
            at_most(self.false_out, self.inside, failure / 2),
        )


def at_most(events: int, trials: int, failure: float) -> float:
    """The largest probability of an event seen ``events`` times (Clopper and Pearson 1934, one-sided).

    Guarantees: for independent trials, it is below the truth with probability at most ``failure``.
    """
    return 1.0 if events >= trials else float(beta.ppf(1.0 - failure, events + 1, trials - events))


def epsilon_from_errors(false_in: float, false_out: float, delta: float) -> float:
    """The least epsilon with which a test of these error rates can be (epsilon, delta)-private.

    Theorem: 1 - delta <= e**epsilon * false_in + false_out, and the same with both exchanged (Kairouz, Oh and
    Viswanath 2015, theorem 2.1). Monotone: with upper bounds of both rates it is a lower bound on epsilon.
    """
    ratios = (
        (1.0 - delta - false_out) / max(false_in, 1e-300),
        (1.0 - delta - false_in) / max(false_out, 1e-300),
    )
    return min(_MOST_EPSILON, max(0.0, *(math.log(ratio) for ratio in ratios if ratio > 0), 0.0))


def gaussian_shift(false_in: float, false_out: float, sample_rate: float = 1.0) -> float:
    """The least shift mu = sensitivity / noise of one Gaussian release that allows these error rates.

    Theorem: a record that enters with probability q and then moves a Gaussian by mu deviations is told by a
    test with P(false in) = a with probability at most (1 - q) a + q Phi(Phi^-1(a) + mu), by Neyman and
    Pearson's lemma (Dong, Roth and Su 2022, sections 2.2 and 4; for audits Nasr et al. 2023). The right side
    grows with a, so upper bounds of both rates give a lower bound on mu.

    Refutes a claim about noise, not any (epsilon, delta): the claim is the whole trade-off of that Gaussian.
    """
    hit = (1.0 - false_out - (1.0 - sample_rate) * false_in) / sample_rate
    if hit <= false_in:
        return 0.0
    told = min(hit, 1.0 - _SURE)
    return max(0.0, float(norm.ppf(told) - norm.ppf(max(false_in, _SURE))))


def errors_at(threshold: float, without: Scores, inside: Scores) -> Errors:
    """The errors of the test that says "in" from this threshold on.

    threshold: fixed without a look at these scores, or the bounds would not hold; without, inside: scores of
    independent trials on two neighbouring data sets
    """
    return Errors(
        int((without >= threshold).sum()), len(without), int((inside < threshold).sum()), len(inside)
    )


def one_run_p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """How likely at least ``right`` of ``guesses`` are right if the run is (epsilon, delta)-private.

    Theorem (Steinke, Nasr and Jagielski 2023, theorem 5.2): each of m canaries is in the run by a fair coin
    of its own, r of them are guessed from its output. Then for W ~ Binomial(r, 1 / (1 + e**-epsilon))

        P(right >= v) <= P(W >= v) + 2 m delta * max over i >= 1 of P(v > W >= v - i) / i.

    Nothing is assumed about how canaries influence each other. ``guesses`` is fixed before the run.
    """
    chance = 1.0 / (1.0 + math.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, chance))
    if right == 0:
        return 1.0
    below = np.cumsum(binom.pmf(np.arange(right - 1, -1, -1), guesses, chance))
    slope = float((below / np.arange(1, right + 1)).max())
    return min(1.0, tail + 2.0 * canaries * delta * slope)


def one_run_epsilon(canaries: int, guesses: int, right: int, delta: float, failure: float) -> float:
    """The epsilon up to which so many right guesses refute: wrong with probability at most ``failure``.

    The true epsilon has a p-value below ``failure`` with at most that probability. The p-value grows with
    epsilon, so the search from below ends at the first that stands (the paper's appendix D), rounded down.
    """

    def refuted(epsilon: float) -> bool:
        return one_run_p_value(canaries, guesses, right, epsilon, delta) < failure

    low, step = 0.0, 0.5
    if not refuted(low):
        return 0.0
    while step > 1e-4:
        if low + step < _MOST_EPSILON and refuted(low + step):
            low += step
        else:
            step /= 2
    return low
