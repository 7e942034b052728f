"""Noise from the CSPRNG, with tests that have the power to fail."""

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from common.csprng import Csprng

COUNT = 20_000


def accepted(sample: np.ndarray, sigma: float) -> bool:
    """Kolmogorov-Smirnov and a two-sided variance test, each at one in a million."""
    shape_fits = kstest(sample / sigma, "norm").pvalue > 1e-6
    statistic = float((sample**2).sum() / sigma**2)
    variance_fits = chi2.ppf(5e-7, len(sample)) < statistic < chi2.ppf(1 - 5e-7, len(sample))
    return bool(shape_fits and variance_fits)


def test_gaussian_noise_is_accepted_and_wrong_noise_is_not():
    sample = Csprng().gaussian(COUNT)
    assert accepted(sample, 1.0)
    assert not accepted(sample, 2 / 3)
    assert not accepted(sample, 3 / 2)
    assert not accepted(Csprng().uniform(COUNT) * 12**0.5 - 3**0.5, 1.0)  # right variance, wrong shape


def test_streams_do_not_repeat():
    first, second = Csprng().uint64(1000), Csprng().uint64(1000)
    assert len(np.intersect1d(first, second)) == 0
    stream = Csprng()
    assert len(np.intersect1d(stream.uint64(1000), stream.uint64(1000))) == 0


def test_noise_does_not_follow_seeds():
    draws = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002 - that is the point
        draws.append(Csprng().gaussian(4))
    assert not np.array_equal(*draws)


@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_poisson_sampling_has_its_rate_and_a_random_size(rate):
    random = Csprng()
    sizes = [(random.uniform(1000) < rate).sum() for _ in range(300)]
    spread = np.sqrt(1000 * rate * (1 - rate))
    assert abs(np.mean(sizes) - 1000 * rate) < 6 * spread / np.sqrt(300)
    assert 0.7 * spread < np.std(sizes) < 1.3 * spread


def test_stochastic_rounding_is_unbiased():
    values = np.full(COUNT, 0.3)
    rounded = Csprng().stochastic_round(values)
    assert set(np.unique(rounded)) == {0, 1}
    assert abs(rounded.mean() - 0.3) < 6 * np.sqrt(0.21 / COUNT)


def test_a_stream_is_long_whatever_the_system_gives(monkeypatch):
    """The nonce begins with ChaCha20's block counter: a random one could be about to overflow."""
    monkeypatch.setattr("os.urandom", lambda count: b"\xff" * count)
    assert len(Csprng().bytes(1 << 20)) == 1 << 20
