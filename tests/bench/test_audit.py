"""The audit in small: the product passes, broken builds are caught, and so are broken statistics."""

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from common.bench import audit, audit_gradients
from common.bench.audit_bounds import (
    Errors,
    at_most,
    epsilon_from_errors,
    errors_at,
    gaussian_shift,
    one_run_epsilon,
    one_run_p_value,
)
from common.errors import ConfigError, PrivacyError

RUNS = 400


@pytest.fixture(scope="module")
def result():
    few = ("noise_divided_by_3", "subject_rows_not_clipped_together")
    return audit.measure(2.0, 1200, 0, only=few)


def test_the_product_leaks_no_more_than_it_claims(result):
    assert result["confidence"] == 0.95
    assert set(result["parts"]) == {"one_run", "moments", "moments_of_subject", "local", "epoch"}
    for row in result["parts"].values():
        assert row["lower_bound"] <= row["claimed_epsilon"]
    assert result["claimed_epsilon"] == pytest.approx(2.0, abs=1e-3)
    assert result["parts"]["moments"]["lower_bound"] > 0.5  # it looks where there is something to be seen
    audit.judge(result)


def test_broken_builds_are_caught(result):
    assert len(result["controls"]) == 2
    for name, row in result["controls"].items():
        assert row["caught"], name
        assert row["lower_bound"] > 1.5 * row["claimed_epsilon"]


def test_canaries_without_clipping_are_caught():
    found = audit_gradients.one_run(audit_gradients.no_clipping, 2.0, 800, 0, 0.01)
    assert found.refuted


def test_a_leak_and_a_missed_control_are_errors(result):
    leaking = {**result, "parts": {"moments": {"lower_bound": 2.1, "claimed_epsilon": 2.0}}}
    with pytest.raises(PrivacyError, match="moments: at least"):
        audit.judge(leaking)
    with pytest.raises(PrivacyError, match="did not catch broken builds: no_clipping"):
        audit.judge({**result, "controls": {"no_clipping": {"caught": False}}})
    with pytest.raises(ConfigError, match="epsilon"):
        audit.measure(0.1, 2000, 0)


def test_upper_bounds_of_rates_agree_with_closed_forms():
    assert at_most(0, 50, 0.05) == pytest.approx(1 - 0.05 ** (1 / 50))
    assert at_most(50, 50, 0.05) == 1.0
    for events, trials in ((3, 40), (20, 40)):
        assert binom.cdf(events, trials, at_most(events, trials, 0.02)) == pytest.approx(0.02)


def test_upper_bounds_of_rates_fail_as_rarely_as_they_say_and_plain_rates_do_not():
    events = np.random.default_rng(0).binomial(200, 0.1, 4000)
    assert np.mean([at_most(int(e), 200, 0.05) < 0.1 for e in events]) < 0.05 + 0.01
    assert np.mean(events / 200 < 0.1) > 0.3  # control: without correction


def test_epsilon_of_exact_error_rates_is_that_of_randomised_response():
    wrong = 1 / (1 + math.exp(1.3))
    assert epsilon_from_errors(wrong, wrong, 0.0) == pytest.approx(1.3)
    assert epsilon_from_errors(wrong, wrong, 0.1) < 1.3
    assert epsilon_from_errors(0.5, 0.5, 0.0) == 0.0
    assert epsilon_from_errors(0.02, 0.4, 0.7) == 0.0
    assert epsilon_from_errors(0.01, 0.02, 0.7) == pytest.approx(math.log(0.28 / 0.01))


@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_the_shift_of_exact_error_rates_is_that_of_the_gaussian(rate):
    for threshold in (-0.3, 0.4, 1.1):
        false_in = norm.sf(threshold)
        false_out = 1 - (1 - rate) * false_in - rate * norm.sf(threshold - 0.8)
        assert gaussian_shift(false_in, false_out, rate) == pytest.approx(0.8)
        assert gaussian_shift(false_in + 0.01, false_out, rate) < 0.8
        assert gaussian_shift(false_in, false_out + 0.01, rate) < 0.8


def test_a_gaussian_is_refuted_as_rarely_as_promised_and_often_without_correction():
    """Known truth: scores of N(0, 1) and N(1, 1)."""
    random = np.random.default_rng(1)
    found = [errors_at(0.5, random.normal(0, 1, 300), random.normal(1, 1, 300)) for _ in range(RUNS)]
    assert np.mean([gaussian_shift(*errors.upper(0.05)) > 1 for errors in found]) <= 0.05
    plain = [gaussian_shift(errors.false_in / 300, errors.false_out / 300) for errors in found]
    assert np.mean(np.array(plain) > 1) > 0.3


def test_one_run_without_delta_is_the_binomial_tail():
    chance = 1 / (1 + math.exp(-0.7))
    assert one_run_p_value(100, 40, 30, 0.7, 0.0) == pytest.approx(binom.sf(29, 40, chance))
    assert one_run_p_value(100, 40, 0, 0.7, 0.0) == 1.0
    bound = one_run_epsilon(100, 40, 40, 0.0, 0.05)
    best = 0.05 ** (1 / 40)
    assert bound == pytest.approx(math.log(best / (1 - best)), abs=2e-4)


def test_one_run_with_delta_agrees_with_the_sum_written_out():
    chance = 1 / (1 + math.exp(-1.0))
    slopes = [(binom.cdf(24, 30, chance) - binom.cdf(24 - i, 30, chance)) / i for i in range(1, 26)]
    expected = binom.sf(24, 30, chance) + 2 * 60 * 1e-3 * max(slopes)
    assert one_run_p_value(60, 30, 25, 1.0, 1e-3) == pytest.approx(expected)
    assert one_run_epsilon(60, 30, 25, 1e-3, 0.05) < one_run_epsilon(60, 30, 25, 0.0, 0.05)


def test_one_run_never_exceeds_randomised_response_more_often_than_promised():
    """Known truth: each of 200 canaries is guessed by randomised response with epsilon 1, the tight case."""
    right = np.random.default_rng(2).binomial(200, 1 / (1 + math.exp(-1.0)), RUNS)
    bounds = {int(v): one_run_epsilon(200, 200, int(v), 0.0, 0.05) for v in set(right)}
    assert np.mean([bounds[int(v)] > 1.0 for v in right]) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)
    plain = np.log(right / (200 - right))  # control: the rate as if it were known
    assert np.mean(plain > 1.0) > 0.3


def test_errors_are_counted_on_both_sides():
    errors = errors_at(1.0, np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.0, 3.0, 4.0]))
    assert errors == Errors(2, 3, 1, 4)
