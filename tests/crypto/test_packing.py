"""Packing and quantising: nothing wraps, nothing is silently out of range."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.crypto.packing import Packing, Quantiser
from common.crypto.ring import PLAIN_MODULUS, N
from common.csprng import Csprng
from common.errors import HeadroomError, NotASumError


@given(st.integers(2, 55), st.integers(1, 200), st.integers(1, 70_000), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_packed_sums_come_back(field_bits, sites, count, seed):
    try:
        packing = Packing(field_bits=field_bits, sites=sites, count=count)
    except HeadroomError:
        assert (1 << field_bits) - 2 < sites
        return
    random = np.random.default_rng(seed)
    values = random.integers(0, packing.max_value + 1, (3, count))
    values[:, -1] = packing.max_value
    present = min(3, sites)
    slots = sum(packing.pack(row) for row in values[:present])
    assert np.array_equal(packing.unpack_sum(slots, present), values[:present].sum(0))


def test_the_fullest_sum_stays_below_the_plaintext_modulus():
    for field_bits in range(2, 56):
        for sites in (1, 2, 3, 6, 31, 32):
            if (1 << field_bits) - 2 < sites:
                continue
            packing = Packing(field_bits=field_bits, sites=sites, count=packing_full(field_bits))
            slot = int(packing.pack(np.full(packing.count, packing.max_value, np.int64))[:, 1:].max())
            assert slot * sites < PLAIN_MODULUS


def packing_full(field_bits: int) -> int:
    return 56 // field_bits


def test_values_out_of_range_are_refused():
    packing = Packing(field_bits=14, sites=6, count=3)
    for bad in ([0, 0, packing.max_value + 1], [-1, 0, 0]):
        with pytest.raises(HeadroomError):
            packing.pack(np.array(bad))
    with pytest.raises(HeadroomError):
        packing.pack(np.zeros(4, np.int64))


def test_a_wrong_number_of_contributors_is_noticed():
    packing = Packing(field_bits=14, sites=6, count=3)
    slots = packing.pack(np.ones(3, np.int64)) * 3
    assert np.array_equal(packing.unpack_sum(slots, 3), [3, 3, 3])
    for wrong in (2, 4):
        with pytest.raises(NotASumError):
            packing.unpack_sum(slots, wrong)
    with pytest.raises(NotASumError):
        packing.unpack_sum(np.random.default_rng(0).integers(0, 2**56, (1, N)), 3)


def test_quantising_is_unbiased_clips_and_refuses_what_is_not_finite():
    limit = np.full(20_000, 2.0)
    quantiser = Quantiser(limit, 1000)
    value = 0.123456
    back = quantiser.sum_to_values(quantiser.to_integers(np.full(20_000, value), Csprng()), 1)
    step = 4.0 / 1000
    assert abs(back.mean() - value) < 5 * step / np.sqrt(20_000)
    assert np.abs(back - value).max() <= step
    clipped = quantiser.sum_to_values(quantiser.to_integers(limit * 9, Csprng()), 1)
    assert np.allclose(clipped, 2.0)
    for bad in (np.nan, np.inf):
        with pytest.raises(HeadroomError):
            quantiser.to_integers(np.full(20_000, bad), Csprng())
