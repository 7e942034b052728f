"""Accounting against closed forms, another theory, and itself backwards."""

import math

import pytest
from opacus.accountants import RDPAccountant
from scipy.stats import norm

from common.errors import PrivacyTargetError
from common.privacy import accounting
from common.privacy.accounting import calibrate, check_target, epsilon
from common.privacy.mechanism import GaussianSum, SampledGaussian

DELTA = 1e-5


def gaussian_delta(eps: float, sigma: float) -> float:
    """The exact Gaussian mechanism (Balle and Wang 2018, Theorem 8), sensitivity 1."""
    first = norm.cdf(0.5 / sigma - eps * sigma)
    return float(first - math.exp(eps) * norm.cdf(-0.5 / sigma - eps * sigma))


@pytest.mark.parametrize("sigma", [0.7, 1.46, 5.0, 20.0])
def test_one_gaussian_sum_equals_the_closed_form(sigma):
    eps = epsilon([GaussianSum(noise_multiplier=sigma)], DELTA)
    assert gaussian_delta(eps, sigma) <= DELTA
    assert gaussian_delta(eps - 0.003, sigma) > DELTA


def test_two_gaussian_sums_compose_as_one_with_less_noise():
    both = epsilon([GaussianSum(noise_multiplier=3.0), GaussianSum(noise_multiplier=4.0)], DELTA)
    one = epsilon([GaussianSum(noise_multiplier=1 / math.sqrt(1 / 9 + 1 / 16))], DELTA)
    assert both == pytest.approx(one, abs=2e-3)


@pytest.mark.parametrize(("sigma", "rate", "steps"), [(1.2, 0.02, 100), (0.8, 0.05, 40), (3.0, 0.2, 500)])
def test_sampled_gaussian_lies_below_renyi_and_above_zero(sigma, rate, steps):
    renyi = RDPAccountant()
    for _ in range(steps):
        renyi.step(noise_multiplier=sigma, sample_rate=rate)
    spent = epsilon([SampledGaussian(noise_multiplier=sigma, sample_rate=rate, steps=steps)], DELTA)
    upper = renyi.get_epsilon(DELTA)
    assert 0.6 * upper < spent < upper


@pytest.mark.parametrize("steps", [50, 3000])
def test_the_coarse_grid_costs_next_to_nothing(steps, monkeypatch):
    used = [SampledGaussian(noise_multiplier=2.0, sample_rate=0.02, steps=steps)]
    coarse = epsilon(used, DELTA)
    monkeypatch.setattr(accounting, "_COARSE", 1e-4)
    accounting._epsilon.cache_clear()
    fine = epsilon(used, DELTA)
    accounting._epsilon.cache_clear()
    assert fine <= coarse + 1e-9
    assert coarse - fine < 1e-3 * fine + 1e-4


def test_steps_of_separate_charges_add_up():
    whole = epsilon([SampledGaussian(noise_multiplier=1.2, sample_rate=0.02, steps=30)], DELTA)
    parts = epsilon([SampledGaussian(noise_multiplier=1.2, sample_rate=0.02, steps=10)] * 3, DELTA)
    assert whole == parts


@pytest.mark.parametrize("target", [0.3, 3.0, 10.0])
def test_calibration_is_the_inverse(target):
    def spend(sigma):
        return [
            GaussianSum(noise_multiplier=2 * sigma + 10),
            SampledGaussian(noise_multiplier=sigma, sample_rate=0.02, steps=100),
        ]

    sigma = calibrate(spend, target, DELTA)
    assert epsilon(spend(sigma), DELTA) <= target
    assert epsilon(spend(sigma * 0.998), DELTA) > target


def test_nothing_spent_is_zero():
    assert epsilon([], DELTA) == 0.0


@pytest.mark.parametrize(("eps", "delta"), [(0.0, DELTA), (-1, DELTA), (21, DELTA), (3, 0.1), (3, 0)])
def test_targets_that_protect_nobody_are_refused(eps, delta):
    with pytest.raises(PrivacyTargetError):
        check_target(eps, delta)


def test_an_unreachable_target_names_the_smallest_reachable():
    def spend(sigma):
        return [GaussianSum(noise_multiplier=1.0), GaussianSum(noise_multiplier=sigma)]

    with pytest.raises(PrivacyTargetError, match=r"cannot be reached: 4\.\d+ is spent"):
        calibrate(spend, 3.0, DELTA)
