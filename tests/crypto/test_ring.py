"""The vectorised ring against Python integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.crypto import ring
from common.crypto.ring import DATA_LEVEL, DATA_PRIMES, KEY_LEVEL, KEY_PRIMES, N
from common.csprng import Csprng


def residues(seed: int, primes: tuple[int, ...], width: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    rows = [random.integers(0, p, width, dtype=np.uint64) for p in primes]
    out = np.stack(rows)
    out[:, 0] = 0
    out[:, 1] = [p - 1 for p in primes]  # the corners
    return out


@pytest.mark.parametrize(("level", "primes"), [(DATA_LEVEL, DATA_PRIMES), (KEY_LEVEL, KEY_PRIMES)])
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_arithmetic_equals_python_integers(level, primes, left, right):
    a, b = residues(left, primes, 32), residues(right, primes, 32)
    q = np.array(primes, object)[:, None]
    wide_a, wide_b = a.astype(object), b.astype(object)
    assert (level.mul(a, b) == wide_a * wide_b % q).all()
    assert (level.add(a, b) == (wide_a + wide_b) % q).all()
    assert (level.sub(a, b) == (wide_a - wide_b) % q).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_bytes_round_trip(seed, half):
    words = residues(seed, DATA_PRIMES, 2 * half)
    raw = ring.to_bytes(words)
    assert len(raw) == ring.byte_length(2, 2 * half) == words.size * 15 // 2
    assert (ring.from_bytes(raw, *words.shape) == words).all()


def test_bytes_of_another_length_are_refused():
    raw = ring.to_bytes(residues(0, DATA_PRIMES, 8))
    with pytest.raises(ValueError, match="expected"):
        ring.from_bytes(raw[:-1], 2, 8)


@pytest.mark.parametrize("subset", [(1, 2), (2, 5, 7), (1, 3, 4, 6)])
def test_lagrange_recovers_the_constant_term(subset):
    prime = DATA_PRIMES[0]
    coefficients = [123456789, *range(1, len(subset))]
    values = {x: sum(c * x**k for k, c in enumerate(coefficients)) % prime for x in subset}
    total = sum(ring.lagrange_at_zero(x, subset, prime) * y for x, y in values.items())
    assert total % prime == coefficients[0]


def test_uniform_words_stay_below_their_bound_and_fill_it():
    words = Csprng().below(10, 20_000)
    counts = np.bincount(words.astype(np.int64), minlength=10)
    assert words.max() == 9
    assert (np.abs(counts - 2000) < 6 * np.sqrt(2000)).all()
    assert N == 8192
