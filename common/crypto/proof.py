"""Known values that are summed and opened once, before a new key is used for anything else."""

from __future__ import annotations

import hashlib

import numpy as np

from .packing import Integers, Packing
from .ring import N

PROOF_FIELD_BITS = 14


def proof_packing(sites: int) -> Packing:
    """One full ciphertext."""
    return Packing(field_bits=PROOF_FIELD_BITS, sites=sites, count=(56 // PROOF_FIELD_BITS) * (N - 1))


def proof_values(plan_hash: str, site: str, packing: Packing) -> Integers:
    """What ``site`` encrypts: public integers expanded from the plan's hash and its name."""
    seed = f"fedcgan/v1/proof/{plan_hash}/{site}".encode()
    words = np.frombuffer(hashlib.shake_256(seed).digest(4 * packing.count), "<u4")
    return words.astype(np.int64) % (packing.max_value + 1)
