"""Accounting against closed forms, another theory, and itself backwards."""

import math
from itertools import permutations

import pytest
from dp_accounting import GaussianDpEvent, NeighboringRelation
from dp_accounting.pld import PLDAccountant
from opacus.accountants import PRVAccountant, RDPAccountant
from scipy.optimize import brentq
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


def gaussian_epsilon(sigma: float) -> float:
    """Its inverse at DELTA."""
    return float(brentq(lambda eps: gaussian_delta(eps, sigma) - DELTA, 0, 100))


@pytest.mark.parametrize("sigma", [0.7, 1.46, 5.0, 20.0])
def test_one_gaussian_sum_equals_the_closed_form(sigma):
    eps = epsilon([GaussianSum(noise_multiplier=sigma)], DELTA)
    assert gaussian_delta(eps, sigma) <= DELTA
    assert gaussian_delta(eps - 0.003, sigma) > DELTA


@pytest.mark.parametrize(("sigma", "rate", "steps"), [(1.2, 0.02, 100), (0.8, 0.05, 40), (3.0, 0.2, 500)])
def test_sampled_gaussian_lies_below_renyi_and_above_zero(sigma, rate, steps):
    renyi = RDPAccountant()
    for _ in range(steps):
        renyi.step(noise_multiplier=sigma, sample_rate=rate)
    spent = epsilon([SampledGaussian(noise_multiplier=sigma, sample_rate=rate, steps=steps)], DELTA)
    upper = renyi.get_epsilon(DELTA)
    assert 0.6 * upper < spent < upper


SETTINGS = [
    (1.0, 1e-3, 100_000),
    (4.0, 0.01, 100_000),
    (1.2, 1e-3, 325_000),
    (0.7, 0.01, 300),
    (20.0, 0.2, 50),
]


def with_grid(patch, grid: float, mechanisms) -> float:
    """The epsilon on another grid."""
    with patch.context() as now:
        now.setattr(accounting, "_grid", lambda _: grid)
        accounting._epsilon.cache_clear()
        found = epsilon(mechanisms, DELTA)
    accounting._epsilon.cache_clear()
    return found


@pytest.mark.parametrize(("sigma", "rate", "steps"), SETTINGS)
def test_the_grid_does_not_show(sigma, rate, steps, monkeypatch):
    """Against a grid five times as fine: pessimistic, and by less than one percent."""
    used = [SampledGaussian(noise_multiplier=sigma, sample_rate=rate, steps=steps)]
    grid = accounting._grid(accounting._merged(used))
    fine = with_grid(monkeypatch, grid / 5, used)
    assert 1 - 1e-6 < epsilon(used, DELTA) / fine < 1.006


def test_a_grid_that_does_not_know_the_steps_shows(monkeypatch):
    """Negative control: 1e-3 is fine for three thousand steps and far off for 325,000."""
    few, many = (
        [SampledGaussian(noise_multiplier=1.2, sample_rate=1e-3, steps=steps)] for steps in (3000, 325_000)
    )
    assert with_grid(monkeypatch, 1e-3, few) < 1.1 * epsilon(few, DELTA)
    assert with_grid(monkeypatch, 1e-3, many) > 1.05 * epsilon(many, DELTA)


@pytest.mark.filterwarnings("ignore:Optimal order is:UserWarning")  # Opacus, of its list of orders
@pytest.mark.parametrize(("sigma", "rate"), [(1.0, 1e-3), (4.0, 0.01), (30.0, 0.1)])
def test_a_hundred_thousand_steps_agree_with_three_other_theories(sigma, rate):
    """Renyi is an upper bound, Opacus' PRV computes the same by other means, the central limit is close."""
    steps = 100_000
    spent = epsilon([SampledGaussian(noise_multiplier=sigma, sample_rate=rate, steps=steps)], DELTA)
    renyi, prv = RDPAccountant(), PRVAccountant()
    renyi.history = prv.history = [(sigma, rate, steps)]
    assert 0.85 * renyi.get_epsilon(DELTA) < spent < renyi.get_epsilon(DELTA)
    error = 0.01  # of PRV: what it returns is an upper end of that much room
    upper = prv.get_epsilon(DELTA, eps_error=error)
    assert upper - 2 * error - 0.005 * spent < spent < upper + 0.005 * spent
    limit = gaussian_epsilon(1 / (rate * math.sqrt(steps * math.expm1(sigma**-2))))
    assert spent == pytest.approx(limit, rel=0.05)


@pytest.mark.filterwarnings("ignore:Optimal order is:UserWarning")  # Opacus, of its list of orders
def test_those_theories_would_notice_a_tenth_of_the_steps():
    """Negative control."""
    spent = epsilon([SampledGaussian(noise_multiplier=4.0, sample_rate=0.01, steps=10_000)], DELTA)
    prv = PRVAccountant()
    prv.history = [(4.0, 0.01, 100_000)]
    assert spent < 0.5 * prv.get_epsilon(DELTA)


@pytest.mark.parametrize("sigmas", [(3.0, 4.0), (3.0, 3.0, 3.0), (2.0, 5.0, 40.0, 9.0), (60.0,) * 400])
def test_gaussian_sums_compose_as_one_with_harmonic_noise(sigmas):
    """Exactly so, by the closed form; and as dp_accounting convolves them, which knows nothing of it."""
    spent = epsilon([GaussianSum(noise_multiplier=sigma) for sigma in sigmas], DELTA)
    closed = gaussian_epsilon(1 / math.sqrt(sum(sigma**-2 for sigma in sigmas)))
    assert spent == pytest.approx(closed, rel=1e-3)
    assert gaussian_epsilon(max(sigmas)) < closed  # negative control: one of them alone
    convolved = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE, 1e-4)
    for sigma in sigmas[:20]:
        convolved.compose(GaussianDpEvent(sigma))
    first = epsilon([GaussianSum(noise_multiplier=sigma) for sigma in sigmas[:20]], DELTA)
    assert first == pytest.approx(convolved.get_epsilon(DELTA), rel=5e-3)


MIXED = [
    GaussianSum(noise_multiplier=3.0),
    GaussianSum(noise_multiplier=8.0),
    SampledGaussian(noise_multiplier=1.2, sample_rate=0.02, steps=200),
    SampledGaussian(noise_multiplier=2.0, sample_rate=0.1, steps=40),
]


def test_mixed_mechanisms_cost_less_than_their_parts_and_more_than_each():
    parts = [epsilon([mechanism], DELTA) for mechanism in MIXED]
    assert max(parts) < epsilon(MIXED, DELTA) < sum(parts)


def test_order_does_not_matter():
    found = {epsilon(list(order), DELTA) for order in permutations(MIXED)}
    assert len(found) == 1


@pytest.mark.parametrize("parts", [(8, 400), (64, 50)])
@pytest.mark.parametrize("steps", [1, 49, 50, 51, 399, 401, 1234, 99_999])
def test_what_is_asked_first_costs_at_least_as_much(parts, steps):
    used = accounting._merged(
        [
            GaussianSum(noise_multiplier=2.9),
            SampledGaussian(noise_multiplier=1.2, sample_rate=0.01, steps=steps),
        ]
    )
    noise, sampled = accounting._dominating(used, *parts)
    assert noise.noise_multiplier <= 2.9
    assert steps <= sampled.steps <= steps + max(parts[1], steps / parts[0])


@pytest.mark.parametrize("factor", [0.5, 0.99, 1.0, 1.01, 2.0])
def test_within_is_exact_at_the_limit(factor):
    limit = factor * epsilon(MIXED, DELTA)
    assert accounting.within(MIXED, limit, DELTA) == (factor >= 1)


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


def test_calibration_computes_no_loss_far_beyond_its_target(monkeypatch):
    """2,500 steps on a tenth of the records, with the least noise there is: 15 million points, 5 GB."""
    monkeypatch.setattr(accounting, "_MOST_POINTS", 1 << 19)

    def spend(sigma):
        return [SampledGaussian(noise_multiplier=sigma, sample_rate=0.1, steps=2500)]

    with pytest.raises(PrivacyTargetError, match="not computed"):
        epsilon(spend(0.3), DELTA)
    sigma = calibrate(spend, 3.0, DELTA)
    assert 0.995 * 3.0 < epsilon(spend(sigma), DELTA) <= 3.0


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
