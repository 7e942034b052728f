"""docs/parameters.md, recomputed: security, noise, smudging, headroom, failure, sites."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from common.crypto import bfv, parameters
from common.crypto.parameters import HIDING_BITS, MOST_CIPHERTEXTS, MOST_OPENINGS, Noise, check, largest_sites
from common.crypto.ring import DATA_LEVEL, DATA_PRIMES, KEY_PRIMES, PLAIN_MODULUS, N
from common.csprng import Csprng
from common.errors import HeadroomError
from common.plan import Federation, Party
from tests.crypto.test_secure_sum import largest_coefficient, parties

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "parameters.md").read_text("utf-8")
ROWS = [
    [cell.strip().replace(",", "") for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| \d", line)
]
Q = DATA_PRIMES[0] * DATA_PRIMES[1]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row[:3]))
def test_the_table_is_what_the_code_says(row):
    n, k, threshold, honest = map(int, row[:4])
    noise = check(n, k, threshold)
    assert noise.honest == honest
    assert f"2^{math.log2(noise.smudging):.2f}" == row[4]
    assert f"{noise.hiding_bits:.1f}" == row[5]
    assert largest_sites(k, threshold) == int(row[6])


def test_the_page_has_a_table():
    assert len(ROWS) == 7


def test_security_is_the_standards():
    assert parameters.modulus_bits() == sum(q.bit_length() for q in KEY_PRIMES) == 180
    assert parameters.modulus_bits() <= parameters.STANDARD_MODULUS_BITS[N] == 218
    context = bfv._context().key_context_data()
    assert context.qualifiers().sec_level == bfv.seal.SEC_LEVEL_TYPE.TC128
    assert context.total_coeff_modulus_bit_count() == 180
    assert bfv.seal.CoeffModulus.MaxBitCount(N, bfv.seal.SEC_LEVEL_TYPE.TC128) == 218


@pytest.mark.parametrize(("n", "k"), [(3, 2), (6, 6), (200, 7), (1024, 16)])
def test_the_bound_fails_as_rarely_as_it_says(n, k):
    """Hoeffding's inequality put the other way round, over every coefficient of the longest run."""
    noise = Noise(n, k, 2)
    assert noise.secret_norm_squared >= 2 * k * N / 3
    beyond = noise.honest - 2 * n - 1
    one = 2 * math.exp(-2 * beyond**2 / (n * noise.secret_norm_squared))
    assert one * MOST_CIPHERTEXTS * N + 2.0**-64 <= 2.0**-40


@pytest.mark.parametrize("k", [2, 7])
def test_the_secrets_norm_stays_below_its_bound(k):
    _, _, pieces = parties(k, 2)
    norm = 0
    secret = sum(_ternary(piece._secret[0]) for piece in pieces)
    norm = int((secret**2).sum())
    bound = Noise(3, k, 2).secret_norm_squared
    assert bound / 3 < norm < bound


def _ternary(secret_ntt: np.ndarray) -> np.ndarray:
    """SEAL's own inverse transform of one row of a secret: coefficients in {-1, 0, 1}."""
    row = np.stack([secret_ntt % q for q in DATA_PRIMES]).astype(np.uint64)
    cipher = bfv._to_seal(np.stack([row, np.ones_like(row)]))
    bfv.seal.Evaluator(bfv._context()).transform_from_ntt_inplace(cipher)
    coefficients = bfv._split(cipher, 2, len(DATA_PRIMES), N)[1][0][0].astype(object)
    signed = np.array([int(c) if c < DATA_PRIMES[0] // 2 else int(c) - DATA_PRIMES[0] for c in coefficients])
    assert set(signed.tolist()) == {-1, 0, 1}
    return signed


@pytest.mark.parametrize(("n", "k", "threshold"), [(3, 2, 2), (6, 6, 4), (200, 7, 4), (616, 16, 9)])
def test_smudging_fills_the_room_and_never_more(n, k, threshold):
    noise = Noise(n, k, threshold)
    assert threshold * noise.smudging + noise.honest <= parameters.largest_noise() < Q // (2 * PLAIN_MODULUS)
    assert threshold * noise.smudging * 1.25 + noise.honest > parameters.largest_noise() * 0.99
    assert noise.smudging >= 2**HIDING_BITS * MOST_OPENINGS * noise.honest


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_noise_still_decodes_and_a_little_more_does_not(sign):
    """A polynomial Delta m + e with every coefficient of e at the bound."""
    slots = np.arange(N)[None]
    message = _plaintext(slots)
    for noise, exact in ((parameters.largest_noise(), True), (parameters.largest_noise() * 17 // 16, False)):
        phase = [(round_half(Q * int(m), PLAIN_MODULUS) + sign * noise) % Q for m in message]
        rows = np.array([[c % q for c in phase] for q in DATA_PRIMES], np.uint64)
        assert np.array_equal(bfv.decode(_ntt(rows)[None]), slots) == exact


def round_half(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _plaintext(slots: np.ndarray) -> list[int]:
    plain = bfv.seal.Plaintext()
    bfv.seal.BatchEncoder(bfv._context()).encode(slots[0].tolist(), plain)
    return [int(c) for c in bfv._split(plain, N)[1]]


def _ntt(rows: np.ndarray) -> np.ndarray:
    cipher = bfv._load(bfv.seal.Ciphertext, bfv._templates().ciphertext + np.stack([rows, rows]).tobytes())
    bfv.seal.Evaluator(bfv._context()).transform_to_ntt_inplace(cipher)
    return bfv._split(cipher, 2, len(DATA_PRIMES), N)[1][0]


def test_smudging_is_uniform_over_its_whole_range(monkeypatch):
    """Drawn from the CSPRNG: its extremes and moments are those of a uniform distribution."""
    key, shares, _ = parties(3, 2)
    del key
    smudging = Noise(3, 3, 2).smudging
    zero = np.zeros((1, len(DATA_PRIMES), N), np.uint64)
    monkeypatch.setattr(Csprng, "below", drawn := Recorder(Csprng.below))
    partial = shares[0].partial_decryption(zero, (1, 2), 2, smudging, zero)
    noise = drawn.values[0].astype(np.float64) / smudging - 1.0
    assert -1.0 <= noise.min() < -0.99
    assert 0.99 < noise.max() < 1.0
    assert abs(noise.mean()) < 0.05
    assert abs(noise.var() - 1 / 3) < 0.03
    assert largest_coefficient(partial[0]) <= smudging  # of c1 = 0 nothing but the smudging is left
    assert (DATA_LEVEL.sub(partial, zero) == partial).all()


class Recorder:
    """Keeps what a method returned."""

    def __init__(self, method) -> None:
        self.values = []
        self._method = method

    def __get__(self, instance, owner):
        return lambda *args: self.values.append(self._method(instance, *args)) or self.values[-1]


def test_a_roster_beyond_what_its_committee_can_open_is_refused():
    sites = tuple(Party(name=f"site-{i}", identity=f"{i + 1:064x}") for i in range(617))
    fields = {"key_holders": 16, "threshold": 9, "min_contributors": 3, "collusion": 1}
    coordinator = Party(name="coordinator", identity="0" * 64)
    with pytest.raises(HeadroomError, match="617 sites") as refused:
        Federation(coordinator=coordinator, sites=sites, **fields)
    assert "616 sites" in refused.value.hint
    Federation(coordinator=coordinator, sites=sites[:616], **fields)
