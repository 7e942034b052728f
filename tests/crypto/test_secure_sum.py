"""The whole sum: bit-equal to integers added in the clear, for every subset that may open it."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.crypto import bfv, ring, threshold
from common.crypto.encrypted import EncryptedUpdate, half_from_bytes
from common.crypto.masks import PairKeys
from common.crypto.packing import Packing
from common.crypto.parameters import Noise
from common.crypto.ring import DATA_LEVEL, DATA_PRIMES, N
from common.crypto.secret import KeyPiece, KeyShare
from common.errors import CryptoError, MalformedMessageError, NotASumError, NotEnoughSitesError

NO_MASK = np.zeros((1, len(DATA_PRIMES), N), np.uint64)


@cache
def parties(holders: int, least: int) -> tuple[bfv.PublicKey, list[KeyShare], list[KeyPiece]]:
    a = threshold.common_reference(f"{holders}/{least}".encode())
    pieces = [KeyPiece() for _ in range(holders)]
    dealt = [piece.deal(least, holders) for piece in pieces]
    shares = [KeyShare(j + 1, [deal[j] for deal in dealt]) for j in range(holders)]
    return threshold.joint_key([piece.public(a) for piece in pieces], a), shares, pieces


def encrypted_sum(key, packing, values):
    return bfv.add([bfv.encrypt(key, packing.pack(row)) for row in values])


@cache
def pairs(holders: int) -> list[PairKeys]:
    """Every two key-holders share 32 bytes."""
    keys = {(i, j): bytes([i, j]) * 16 for i in range(1, holders + 1) for j in range(i + 1, holders + 1)}
    others = [[j for j in range(1, holders + 1) if j != i] for i in range(1, holders + 1)]
    return [
        PairKeys(i, {j: keys[min(i, j), max(i, j)] for j in others[i - 1]}) for i in range(1, holders + 1)
    ]


def partial(total, shares, j, subset, least, step="step"):
    """One masked partial decryption, as a key-holder gives it."""
    mask = pairs(len(shares))[j - 1].mask(subset, "plan", step, total[:, 1])
    smudging = Noise(32, len(shares), least).smudging
    return shares[j - 1].partial_decryption(total[:, 1], subset, least, smudging, mask)


def opened(total, shares, subset, least):
    partials = {j: partial(total, shares, j, subset, least) for j in subset}
    return threshold.combine(total, partials, least)


@given(
    holders=st.integers(2, 5),
    sites=st.integers(2, 9),
    field_bits=st.integers(8, 55),
    count=st.integers(1, 40_000),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
@settings(max_examples=12, deadline=None)
def test_sum_is_bit_equal_to_the_clear_sum(holders, sites, field_bits, count, seed, data):
    least = data.draw(st.integers(2, holders))
    key, shares, _ = parties(holders, least)
    packing = Packing(field_bits=field_bits, sites=sites, count=count)
    random = np.random.default_rng(seed)
    values = random.integers(0, packing.max_value + 1, (sites, count))
    values[:, 0] = packing.max_value  # the fullest field
    subset = tuple(sorted((random.permutation(holders)[:least] + 1).tolist()))
    total = encrypted_sum(key, packing, values)
    slots = opened(total, shares, subset, least)
    assert np.array_equal(packing.unpack_sum(slots, sites), values.sum(0))


@pytest.mark.parametrize(("holders", "least"), [(3, 2), (4, 3), (5, 3)])
def test_every_subset_opens_the_same_sum(holders, least):
    key, shares, _ = parties(holders, least)
    packing = Packing(field_bits=14, sites=3, count=100)
    values = np.random.default_rng(1).integers(0, packing.max_value + 1, (3, 100))
    total = encrypted_sum(key, packing, values)
    for subset in combinations(range(1, holders + 1), least):
        slots = opened(total, shares, subset, least)
        assert np.array_equal(packing.unpack_sum(slots, 3), values.sum(0))
    for size in (least - 1, least + 1):  # noise has room for exactly ``least`` smudgings
        with pytest.raises(NotEnoughSitesError):
            partial(total, shares, 1, tuple(range(1, size + 1)), least)


def test_fewer_than_threshold_shares_open_nothing():
    key, shares, _ = parties(5, 3)
    packing = Packing(field_bits=14, sites=3, count=1000)
    values = np.random.default_rng(2).integers(0, packing.max_value + 1, (3, 1000))
    total = encrypted_sum(key, packing, values)
    with pytest.raises(NotEnoughSitesError):
        partial(total, shares, 1, (1, 2), 3)
    with pytest.raises(NotEnoughSitesError):
        threshold.combine(total, {1: total[:, 1]}, 3)
    # two that ignore the rule and pretend the threshold were two
    partials = {j: partial(total, shares, j, (1, 2), 2) for j in (1, 2)}
    slots = threshold.combine(total, partials, 2)
    fields = slots[:, 1:].ravel() & ((1 << 14) - 1)
    assert not np.array_equal(fields[: len(values.sum(0))], values.sum(0))
    with pytest.raises(NotASumError):
        packing.unpack_sum(slots, 3)


def test_one_wrong_partial_is_noticed():
    key, shares, _ = parties(4, 3)
    packing = Packing(field_bits=14, sites=3, count=10)
    total = encrypted_sum(key, packing, np.ones((3, 10), np.int64))
    partials = {j: partial(total, shares, j, (1, 2, 3), 3) for j in (1, 2, 3)}
    partials[2] = DATA_LEVEL.add(partials[2], np.ones_like(partials[2]))
    slots = threshold.combine(total, partials, 3)
    assert np.array_equal(packing.unpack_sum(slots, 3), np.full(10, 3))  # one unit of noise: harmless
    partials[2] = np.roll(partials[2], 1, axis=-1)
    with pytest.raises(NotASumError):
        packing.unpack_sum(threshold.combine(total, partials, 3), 3)


def test_partials_of_another_set_or_of_another_sum_open_nothing():
    """Masks cancel only among key-holders that open the same sum with the same others."""
    key, shares, _ = parties(4, 3)
    packing = Packing(field_bits=14, sites=3, count=10)
    total, other = (encrypted_sum(key, packing, np.ones((3, 10), np.int64)) for _ in range(2))
    honest = {j: partial(total, shares, j, (1, 2, 3), 3) for j in (1, 2, 3)}
    foreign = {
        "another set": partial(total, shares, 3, (1, 3, 4), 3),
        "another sum": partial(other, shares, 3, (1, 2, 3), 3),
        "another step": partial(total, shares, 3, (1, 2, 3), 3, step="later"),
        "no mask": shares[2].partial_decryption(total[:, 1], (1, 2, 3), 3, 1 << 53, NO_MASK),
    }
    assert np.array_equal(packing.unpack_sum(threshold.combine(total, honest, 3), 3), np.full(10, 3))
    for wrong in foreign.values():
        with pytest.raises(NotASumError):
            packing.unpack_sum(threshold.combine(total, honest | {3: wrong}, 3), 3)


def test_masked_partials_are_uniform_and_bare_ones_are_tied_together():
    """Why masks: in bare partials of one c1 for two sets S c1 cancels, and noise stands there bare, too."""
    key, shares, _ = parties(4, 3)
    packing = Packing(field_bits=14, sites=3, count=10)
    total = encrypted_sum(key, packing, np.ones((3, 10), np.int64))
    smudging = Noise(32, 4, 3).smudging

    def relation(first, second):
        """8 d - 9 d': lambda_1 is 3 in {1, 2, 3} and 8/3 in {1, 2, 4}, so S c1 cancels and noise is left."""
        eight, nine = DATA_LEVEL.constant(8), DATA_LEVEL.constant(9)
        return largest_coefficient(
            DATA_LEVEL.sub(DATA_LEVEL.mul(first, eight), DATA_LEVEL.mul(second, nine))[0]
        )

    bare = [
        shares[0].partial_decryption(total[:, 1], s, 3, smudging, NO_MASK) for s in ((1, 2, 3), (1, 2, 4))
    ]
    masked = [partial(total, shares, 1, s, 3) for s in ((1, 2, 3), (1, 2, 4))]
    assert relation(*bare) <= 17 * smudging
    assert relation(*masked) > 2**110


@pytest.mark.parametrize(("sites", "holders"), [(32, 3), (200, 2)])
def test_honest_noise_stays_below_the_bound_that_smudging_is_made_of(sites, holders):
    key, _, pieces = parties(holders, 2)
    secret = pieces[0]._secret
    for piece in pieces[1:]:
        secret = ring.KEY_LEVEL.add(secret, piece._secret)
    zeros = np.zeros((1, N), np.int64)
    total = bfv.add(bfv.encrypt(key, zeros) for _ in range(sites))
    phase = DATA_LEVEL.add(total[:, 0], DATA_LEVEL.mul(total[:, 1], secret[: len(DATA_PRIMES)]))
    worst = largest_coefficient(phase[0])
    noise = Noise(sites, holders, 2)
    assert noise.honest / 20 < worst < noise.honest  # the bound holds and says something


def largest_coefficient(polynomial: np.ndarray) -> int:
    """The largest absolute coefficient of a polynomial in NTT form, by SEAL's own inverse NTT."""
    cipher = bfv._to_seal(np.stack([polynomial, np.ones_like(polynomial)]))
    bfv.seal.Evaluator(bfv._context()).transform_from_ntt_inplace(cipher)
    rows = bfv._split(cipher, 2, len(DATA_PRIMES), N)[1][0].astype(object)
    q0, q1 = DATA_PRIMES
    lifted = rows[0] + q0 * ((rows[1] - rows[0]) * pow(q0, -1, q1) % q1)
    return int(max(min(int(c), q0 * q1 - int(c)) for c in lifted))


def test_ciphertexts_cross_the_wire_unchanged():
    key, _, _ = parties(3, 2)
    encrypted = EncryptedUpdate(bfv.encrypt(key, np.zeros((2, N), np.int64)))
    raw = encrypted.to_bytes()
    assert len(raw) == 2 * N * 30
    assert np.array_equal(EncryptedUpdate.from_bytes(raw, 2).ciphertext, encrypted.ciphertext)
    for wrong in (raw[:-1], raw + b"\0", b""):
        with pytest.raises(MalformedMessageError):
            EncryptedUpdate.from_bytes(wrong, 2)
    with pytest.raises(MalformedMessageError):
        half_from_bytes(raw, 2)
    with pytest.raises(MalformedMessageError, match="range"):
        EncryptedUpdate.from_bytes(b"\xff" * len(raw), 2)


def test_two_encryptions_of_the_same_values_differ():
    key, _, _ = parties(3, 2)
    first, second = (bfv.encrypt(key, np.zeros((1, N), np.int64)) for _ in range(2))
    assert (first != second).mean() > 0.99


def test_parameters_are_seals_own():
    context = bfv._context()
    primes = [m.value() for m in context.key_context_data().parms().coeff_modulus()]
    assert tuple(primes) == ring.KEY_PRIMES
    assert context.key_context_data().qualifiers().sec_level == bfv.seal.SEC_LEVEL_TYPE.TC128


def test_secrets_do_not_print_and_are_kept_in_private_files(tmp_path):
    _, shares, pieces = parties(3, 2)
    assert "secret" in repr(shares[0])
    assert "secret" in repr(pieces[0])
    path = tmp_path / "share.key"
    shares[1].save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert np.array_equal(KeyShare.load(path)._share, shares[1]._share)
    path.chmod(0o644)
    with pytest.raises(CryptoError, match="read by others"):
        KeyShare.load(path)
