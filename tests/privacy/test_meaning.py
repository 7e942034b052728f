"""The most an attacker can achieve: against the closed form, a real attack, and a bound of one point."""

import numpy as np
import pytest
from scipy.stats import norm

from common.privacy.accounting import deltas, epsilon
from common.privacy.meaning import RATES, from_one_point, meaning, meanings, most_true_positives
from common.privacy.mechanism import GaussianSum, SampledGaussian

DELTA = 1e-5


@pytest.mark.parametrize("sigma", [0.8, 1.5, 4.0])
def test_one_gaussian_equals_the_closed_form(sigma):
    """Dong, Roth and Su 2022: TPR = Phi(Phi^-1(FPR) + 1 / sigma)."""
    found = most_true_positives([GaussianSum(noise_multiplier=sigma)], RATES)
    exact = norm.cdf(norm.ppf(RATES) + 1 / sigma)
    assert np.all(found >= exact - 1e-9)  # a bound is never below what can be done
    assert np.abs(np.array(found) - exact).max() < 1e-3


def test_no_attack_on_composed_sums_beats_it():
    """The best test there is, simulated; with half the noise it beats the bound, so this can fail."""
    used = [GaussianSum(noise_multiplier=2.0)] * 3
    bound = most_true_positives(used, (0.01,))[0]
    random = np.random.default_rng(0)

    def achieved(sigma: float) -> float:
        without, inside = ((shift + sigma * random.normal(size=(200_000, 3))).sum(1) for shift in (0.0, 1.0))
        return float((inside > np.quantile(without, 0.99)).mean())

    assert bound - 0.005 < achieved(2.0) < bound + 0.003
    assert achieved(1.0) > bound + 0.05


def test_more_steps_less_noise_and_more_false_alarms_never_find_less():
    def most(sigma, steps, rate=0.01):
        used = [SampledGaussian(noise_multiplier=sigma, sample_rate=0.05, steps=steps)]
        return most_true_positives(used, (rate,))[0]

    assert 0.01 <= most(1.5, 10) < most(1.5, 100) < most(1.0, 100) < most(1.0, 100, 0.02) <= 1
    assert most_true_positives([], RATES) == RATES  # nothing was said: guessing


def test_one_point_alone_is_looser():
    """The broken variant: from (epsilon, delta) only, an attacker seems to find several times as many."""
    used = [SampledGaussian(noise_multiplier=3.53, sample_rate=256 / 5000, steps=2000)]
    spent = epsilon(used, DELTA)
    tight, loose = most_true_positives(used, (0.01,))[0], from_one_point(spent, DELTA, 0.01)
    assert loose == pytest.approx(np.exp(spent) * 0.01 + DELTA)
    assert 0.04 < tight < 0.055  # published of the same run: 4.8 %
    assert loose > 3 * tight


def test_the_profile_falls_and_meets_epsilon():
    used = [GaussianSum(noise_multiplier=1.2)]
    profile = deltas(used, [0.0, 1.0, 2.0, epsilon(used, DELTA)])
    assert profile == sorted(profile, reverse=True)
    assert profile[-1] == pytest.approx(DELTA, rel=1e-3)
    assert deltas([], [0.0, 1.0]) == [0.0, 0.0]


def test_a_sentence_for_each_view():
    strong, weak = ([GaussianSum(noise_multiplier=sigma)] for sigma in (4.0, 1.0))
    released, site = meanings({"released": strong, "curious_site": weak}, "add/remove one subject")
    assert released.most[0] < site.most[0]
    assert released.view == "released"
    assert "participants" in released.sentence
    assert "finds at most" in released.sentence
    assert released.not_covered
    nothing = meaning("released", [], "add/remove one record")
    assert "finds at most 1 %" in nothing.sentence
    for word in ("anonymous", "compliant"):
        assert word not in released.sentence + " ".join(released.not_covered)
