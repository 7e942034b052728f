"""The public values of the proof step: 14-bit fields, one full ciphertext."""

import hashlib

from .packing import Layout
from .ring import N, Row


def layout(sites: int) -> Layout:
    """Four fields a slot."""
    return Layout(14, sites, 4 * (N - 1))


def values(plan: str, site: str, shape: Layout) -> Row:
    """Words of 32 bits from SHAKE-256(plan, site), mod L + 1."""
    raw = hashlib.shake_256(f"fedcgan/v1/proof/{plan}/{site}".encode()).digest(4 * shape.count)
    words = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4)]
    return [word % (shape.largest + 1) for word in words]
