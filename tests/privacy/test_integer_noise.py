"""Integer noise against its definition, its theorem, and tests that would notice too little or too much."""

import math

import numpy as np
import pytest
from scipy.stats import chi2, kstest, norm

from common.csprng import Csprng
from common.errors import HeadroomError
from common.privacy import integer_noise
from common.privacy.integer_noise import SMOOTHING, NoiseGrid, discrete_gaussian, seen

SHARES = 4
GRID = NoiseGrid(low=0.0, high=100.0, noise=5.0, shares=SHARES, max_value=1 << 14)


def pmf(centre: float, sigma: float, support: np.ndarray) -> np.ndarray:
    """N_Z(centre, sigma**2) by its definition."""
    weights = np.exp(-((support - centre) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


@pytest.mark.parametrize("sigma", [1.0, 2.2, 7.3])
@pytest.mark.parametrize("centre", [0.0, 0.37, 0.5, -3.81, 1e6 + 0.25])
def test_draws_follow_the_definition(centre, sigma):
    count = 60_000
    drawn = discrete_gaussian(np.full(count, centre), sigma, Csprng())
    support = np.arange(math.floor(centre - 9 * sigma), math.ceil(centre + 9 * sigma) + 1)
    expected = pmf(centre, sigma, support) * count
    seen_ = np.array([(drawn == value).sum() for value in support])
    often = expected > 10
    statistic = ((seen_ - expected)[often] ** 2 / expected[often]).sum()
    assert chi2.sf(statistic, often.sum() - 1) > 1e-6
    shifted = pmf(centre + 0.1 * sigma, sigma, support) * count  # the test has power: it tells this from that
    assert chi2.sf(((seen_ - shifted)[often] ** 2 / shifted[often]).sum(), often.sum() - 1) < 1e-6


def sum_noise(shares: int = SHARES, scale: float = 1.0, count: int = 20_000) -> np.ndarray:
    """The noise of an opened sum, in its own unit; scale != 1: a broken sampler."""
    values = np.linspace(0, 100, count)
    grid, random = GRID, Csprng()
    total = np.zeros(count, np.int64)
    for _ in range(shares):
        centres = (values - grid.low) * grid.steps
        total += discrete_gaussian(centres, grid.share * scale, random) + grid._margin
    return grid.sum_to_values(total, shares) - shares * values


def verdict(noise: np.ndarray, sigma: float) -> tuple[bool, bool]:
    """Whether the variance test and Kolmogorov-Smirnov accept sigma, each at 1e-6."""
    statistic = (noise**2).sum() / sigma**2
    tail = min(chi2.sf(statistic, len(noise)), chi2.cdf(statistic, len(noise)))
    return tail > 5e-7, kstest(noise / sigma, norm.cdf).pvalue > 1e-6


def test_a_sum_of_shares_carries_the_noise_that_was_planned():
    sigma = math.sqrt(GRID.noise**2 + (SMOOTHING / GRID.steps) ** 2)
    assert verdict(sum_noise(), sigma) == (True, True)


@pytest.mark.parametrize("scale", [2 / 3, 3 / 2])
def test_the_tests_have_power(scale):
    assert verdict(sum_noise(scale=scale), GRID.noise) == (False, False)


def test_a_missing_share_is_noticed():
    noise = sum_noise(shares=SHARES - 1)
    assert not verdict(noise, GRID.noise)[0]
    assert noise.std() == pytest.approx(GRID.noise * math.sqrt(1 - 1 / SHARES), rel=0.05)


def test_noise_is_the_same_whatever_it_hides():
    """Half a grid step, the ends of the range, negative values: mean and variance do not move."""
    grid = NoiseGrid(low=-7.0, high=7.0, noise=3.0, shares=1, max_value=2000)
    for value in (-7.0, -0.5 / grid.steps, 0.0, 3.3333, 7.0):
        noisy = grid.to_integers(np.full(20_000, value), Csprng())
        noise = grid.sum_to_values(noisy, 1) - value
        assert abs(noise.mean()) < 5 * grid.noise / math.sqrt(20_000)
        assert verdict(noise, math.sqrt(grid.noise**2 + (SMOOTHING / grid.steps) ** 2)) == (True, True)


def hockey_stick(p: np.ndarray, q: np.ndarray, eps: float) -> float:
    """delta at eps, exactly, from two distributions on the same integers."""
    return float(np.maximum(p - math.exp(eps) * q, 0.0).sum())


def gaussian_delta(eps: float, sigma: float) -> float:
    """The continuous Gaussian mechanism, sensitivity 1 (Balle and Wang 2018, theorem 8)."""
    return float(norm.cdf(0.5 / sigma - eps * sigma) - math.exp(eps) * norm.cdf(-0.5 / sigma - eps * sigma))


def distribution_of_sum(centres: list[float], sigma: float, support: np.ndarray) -> np.ndarray:
    """Exact distribution of the sum of one draw around each centre."""
    total = np.array([1.0])
    half = len(support) // 2
    inner = np.arange(-half, half + 1)
    for centre in centres:
        total = np.convolve(total, pmf(centre, sigma, inner))
    middle = len(total) // 2
    return total[middle - half : middle + half + 1]


@pytest.mark.parametrize("shares", [1, 2, 3])
def test_the_sum_is_as_private_as_the_continuous_gaussian_it_is_charged_as(shares):
    """The theorem, at the coarsest grid allowed, for centres and shifts that are no integers."""
    sigma = math.sqrt(2) * SMOOTHING + 0.01
    charged = math.sqrt(shares * sigma**2 - SMOOTHING**2)
    support = np.arange(-60, 61)
    random = np.random.default_rng(0)
    for shift in (0.05, 0.5, 1.0, 1.37, 2.0):
        for _ in range(10):
            centres = random.uniform(-1, 1, shares).tolist()
            p = distribution_of_sum(centres, sigma, support)
            q = distribution_of_sum([centres[0] + shift, *centres[1:]], sigma, support)
            for eps in (0.01, 0.1, 0.5, 1.0, 2.0):
                bound = gaussian_delta(eps, charged / shift) + 1e-12
                assert hockey_stick(p, q, eps) <= bound
                assert hockey_stick(q, p, eps) <= bound


def test_rounding_before_the_noise_would_break_the_theorem():
    """Negative control: centres rounded to integers first turn a shift of 0.05 into one of 1."""
    sigma = math.sqrt(2) * SMOOTHING + 0.01
    support = np.arange(-60, 61)
    p = distribution_of_sum([round(0.49)], sigma, support)
    q = distribution_of_sum([round(0.54)], sigma, support)
    charged = math.sqrt(sigma**2 - SMOOTHING**2)
    assert hockey_stick(p, q, 0.1) > gaussian_delta(0.1, charged / 0.05) + 0.01


@pytest.mark.parametrize(("shares", "honest"), [(4, 6), (4, 5), (4, 4), (4, 3), (4, 1), (1, 1)])
def test_what_others_see_is_never_overstated(shares, honest):
    grid = NoiseGrid(low=0, high=100, noise=5.0, shares=shares, max_value=1 << 14)
    real = math.sqrt(honest * grid.share**2 - SMOOTHING**2) / grid.steps
    assert 0.98 * real <= seen(5.0, shares, honest) <= real * (1 + 1e-9)


@pytest.mark.parametrize("shares", [50, 100, 101, 198, 1000])
def test_a_single_share_of_many_is_never_nothing(shares):
    grid = NoiseGrid(low=0, high=100, noise=5.0, shares=shares, max_value=1 << 16)
    real = math.sqrt(grid.share**2 - SMOOTHING**2) / grid.steps
    assert 0 < seen(5.0, shares, 1) <= real * (1 + 1e-9)


def test_a_grid_too_coarse_for_the_theorem_is_refused():
    with pytest.raises(HeadroomError, match="needs more than 300 levels"):
        NoiseGrid(low=0, high=1000, noise=1.0, shares=4, max_value=300)
    with pytest.raises(HeadroomError):
        NoiseGrid(low=0, high=1, noise=1.0, shares=4000, max_value=1 << 7)


def test_values_beyond_the_bounds_are_clipped_before_the_noise():
    noisy = GRID.to_integers(np.array([-1e9, 1e9] * 500), Csprng())
    values = GRID.sum_to_values(noisy, 1).reshape(-1, 2).mean(axis=0)
    assert values == pytest.approx([0, 100], abs=1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_goes_nowhere(bad):
    with pytest.raises(HeadroomError, match="not finite"):
        GRID.to_integers(np.array([1.0, bad]), Csprng())


def test_noise_that_leaves_its_room_is_not_clipped_but_refused(monkeypatch):
    monkeypatch.setattr(integer_noise, "discrete_gaussian", lambda centres, *_: np.full(len(centres), 10**9))
    with pytest.raises(HeadroomError, match="beyond its room"):
        GRID.to_integers(np.zeros(3), Csprng())
