"""Memory stays flat over hundreds of sums: whatever the library under us keeps would show."""

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from common.crypto import bfv, threshold
from common.crypto.packing import Packing
from common.crypto.parameters import Noise
from common.crypto.ring import N
from tests.crypto.test_secure_sum import pairs, parties

SUMS, WARM_UP, CONTROL = 600, 60, 60
ALLOWED = 6 << 20  # bytes: one leaked plaintext (64 KiB) a sum would be six times that
PACKING = Packing(field_bits=14, sites=2, count=4 * (N - 1))
SMUDGING = Noise(2, 3, 2).smudging


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def one_sum(number: int) -> None:
    """Encrypt, add, open, combine: everything that touches SEAL."""
    key, shares, _ = parties(3, 2)
    values = np.full((2, PACKING.count), number % PACKING.max_value)
    total = bfv.add(bfv.encrypt(key, PACKING.pack(row)) for row in values)
    partials = {
        j: shares[j - 1].partial_decryption(
            total[:, 1],
            (1, 2),
            2,
            SMUDGING,
            pairs(3)[j - 1].mask((1, 2), "plan", f"step-{number}", total[:, 1]),
        )
        for j in (1, 2)
    }
    opened = PACKING.unpack_sum(threshold.combine(total, partials, 2), 2)
    assert (opened == 2 * (number % PACKING.max_value)).all()


def growth(count: int, leaky: bool = False) -> int:
    """Bytes more in memory after ``count`` sums than before, once warm."""
    leak: list[object] = []
    for number in range(WARM_UP):
        one_sum(number)
    before = resident()
    for number in range(count):
        one_sum(number)
        if leaky:
            leak.append(bfv._to_seal(np.zeros((2, 2, N), np.uint64)))
    return resident() - before


def in_a_fresh_process(*arguments: object) -> int:
    """``growth`` where no other test has left memory behind to be used again."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(growth, *arguments).result()


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="reads /proc, which only Linux has"
)


def test_memory_is_flat_over_hundreds_of_sums():
    assert in_a_fresh_process(SUMS) < ALLOWED


def test_a_leak_of_one_ciphertext_a_sum_is_seen():
    """Negative control."""
    assert in_a_fresh_process(CONTROL, True) > ALLOWED


def test_a_thread_that_ends_leaves_no_open_file():
    def used() -> None:
        bfv.sample_key_pair()
        held.append(open_files())

    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    held: list[int] = []
    bfv.sample_key_pair()
    before = open_files()
    for _ in range(3):
        thread = threading.Thread(target=used)
        thread.start()
        thread.join()
    assert held == [before + 1] * 3  # negative control: it had one
    assert open_files() == before
