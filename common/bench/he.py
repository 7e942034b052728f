"""What the secure sum costs, beside what others ship, in one run on one core.

Baselines: TenSEAL CKKS N = 8192, primes [60, 40, 40], scale 2**40, symmetric, one secret key shared by
all clients, context sent once (what NVFlare 2.9 ships, without the context it adds to every vector);
CKKS N = 4096 [54, 55]; float32 addition in the clear.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import tenseal
from rich.table import Table

from ..crypto import bfv, ring, threshold
from ..crypto.encrypted import EncryptedUpdate
from ..crypto.packing import Integers, Packing, Quantiser
from ..crypto.ring import N
from ..csprng import Csprng
from ..plan import Federation
from ..terminal import output
from ..versions import versions
from .ceremony import Opener, ceremony

CEREMONY_SITES = 10


def measure(parameters: int, sites: int, repeats: int) -> dict[str, Any]:
    """All figures; seconds are medians over ``repeats``. Raises if a sum is not bit-equal."""
    values = np.random.default_rng(0).normal(0, 0.1, (sites, parameters))
    _, key, openers = ceremony(sites, sites // 2 + 1)
    ours = {
        f"threshold_bfv_{bits}bit": _threshold(values, bits, key, openers, repeats, sites)
        for bits in (14, 18)
    }
    baselines = {
        "ckks_8192_60_40_40_shared_key": _ckks(values, 8192, [60, 40, 40], 40, repeats),
        "ckks_4096_54_55_shared_key": _ckks(values, 4096, [54, 55], 36, repeats),
        "float32_clear": _clear(values, repeats),
    }
    chosen = ours["threshold_bfv_14bit"]
    return {
        "parameters": parameters,
        "sites": sites,
        "threshold": len(openers),
        "repeats": repeats,
        "upload_ratio_14bit": chosen["upload_ratio"],
        "upload_ratio_18bit": ours["threshold_bfv_18bit"]["upload_ratio"],
        "contribution_seconds": chosen["contribution_seconds"],
        "opening_seconds": chosen["opening_seconds"],
        "combine_seconds": chosen["combine_seconds"],
        "ceremony_seconds": ceremony(CEREMONY_SITES, CEREMONY_SITES // 2 + 1)[0],
        "ceremony_sites": CEREMONY_SITES,
        "ours": ours,
        "baselines": baselines,
        "machine": {"cores": os.cpu_count(), **versions()},
    }


def _median(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    seconds, result = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return round(median(seconds), 4), result


def _threshold(
    values: np.ndarray,
    bits: int,
    key: bfv.PublicKey,
    openers: dict[int, Opener],
    repeats: int,
    sites: int,
) -> dict[str, Any]:
    """Figures of one sum of the rows of ``values``, packed for ``sites``."""
    contributors, count = values.shape
    packing = Packing(field_bits=bits, sites=sites, count=count)
    quantiser = Quantiser(np.full(count, 0.5), packing.max_value)
    integers = [quantiser.to_integers(row, Csprng()) for row in values]

    def contribute() -> bytes:
        quantised = quantiser.to_integers(values[0], Csprng())
        return EncryptedUpdate(bfv.encrypt(key, packing.pack(quantised))).to_bytes()

    contribution_seconds, raw = _median(contribute, repeats)
    ciphertexts = [bfv.encrypt(key, packing.pack(row)) for row in integers]
    add_seconds, total = _median(lambda: bfv.add(ciphertexts), repeats)
    subset = tuple(openers)

    def open_share() -> bytes:
        return ring.to_bytes(openers[1].open(total[:, 1], subset))

    opening_seconds, opened_raw = _median(open_share, repeats)
    partials = {j: opener.open(total[:, 1], subset) for j, opener in openers.items()}

    def combine() -> Integers:
        return packing.unpack_sum(threshold.combine(total, partials, len(subset)), contributors)

    combine_seconds, opened = _median(combine, repeats)
    if not np.array_equal(opened, np.sum(integers, axis=0)):
        raise AssertionError("the opened sum is not the sum")
    return {
        "bytes_per_value": round(len(raw) / count, 3),
        "upload_ratio": round(len(raw) / (4 * count), 3),
        "opening_bytes_per_value": round(len(opened_raw) / count, 3),
        "contribution_seconds": contribution_seconds,
        "add_seconds": add_seconds,
        "opening_seconds": opening_seconds,
        "combine_seconds": combine_seconds,
        "levels_per_value": packing.max_value + 1,
    }


@dataclass(frozen=True, slots=True)
class SumSeconds:
    """Seconds of all sums of a run: one site's contribution and opening, the server's addition of one site's
    ciphertexts, its combination, and the key ceremony of all key-holders."""

    contribute: float
    open: float
    add: float
    combine: float
    ceremony: float


def sum_seconds(federation: Federation, sums: dict[Packing, int]) -> SumSeconds:
    """Measured on one ciphertext and multiplied; sums: how often each packing is used."""
    seconds, key, openers = ceremony(federation.key_holders, federation.threshold)
    total = [0.0] * 4
    for packing, times in sums.items():
        one = Packing(
            field_bits=packing.field_bits,
            sites=packing.sites,
            count=min(packing.count, packing.per_slot * (N - 1)),
        )
        values = np.random.default_rng(0).normal(0, 0.1, (min(2, packing.sites), one.count))
        row = _threshold(values, one.field_bits, key, openers, repeats=3, sites=packing.sites)
        for place, name in enumerate(("contribution", "opening", "add", "combine")):
            total[place] += row[f"{name}_seconds"] * packing.chunks * times
    return SumSeconds(total[0], total[1], total[2] / 2, total[3], seconds)


def _ckks(
    values: np.ndarray, degree: int, primes: list[int], scale_bits: int, repeats: int
) -> dict[str, Any]:
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS,
        degree,
        coeff_mod_bit_sizes=primes,
        encryption_type=tenseal.ENCRYPTION_TYPE.SYMMETRIC,
        n_threads=1,
    )
    context.global_scale = 2.0**scale_bits
    slots = degree // 2  # one ciphertext a vector, as longer ones print warnings
    rows = [np.array_split(row, -(-values.shape[1] // slots)) for row in values]

    def contribute() -> list[bytes]:
        return [tenseal.ckks_vector(context, part).serialize() for part in rows[0]]

    contribution_seconds, raw = _median(contribute, repeats)
    encrypted = [[tenseal.ckks_vector(context, part) for part in row] for row in rows]

    def add() -> list[Any]:
        total = [vector.copy() for vector in encrypted[0]]
        for row in encrypted[1:]:
            for index, vector in enumerate(row):
                total[index] += vector
        return total

    add_seconds, total = _median(add, repeats)
    decrypt_seconds, _ = _median(lambda: [vector.decrypt() for vector in total], repeats)
    size = sum(map(len, raw))
    return {
        "bytes_per_value": round(size / values.shape[1], 3),
        "upload_ratio": round(size / (4 * values.shape[1]), 3),
        "contribution_seconds": contribution_seconds,
        "add_seconds": add_seconds,
        "opening_seconds": None,
        "combine_seconds": decrypt_seconds,
    }


def _clear(values: np.ndarray, repeats: int) -> dict[str, Any]:
    rows = values.astype(np.float32)
    contribution_seconds, raw = _median(rows[0].tobytes, repeats)
    add_seconds, _ = _median(lambda: rows.sum(axis=0), repeats)
    return {
        "bytes_per_value": len(raw) / values.shape[1],
        "upload_ratio": 1.0,
        "contribution_seconds": contribution_seconds,
        "add_seconds": add_seconds,
        "opening_seconds": None,
        "combine_seconds": 0.0,
    }


def print_table(result: dict[str, Any]) -> None:
    """The figures side by side."""
    table = Table(
        title=f"{result['parameters']:,} values, {result['sites']} sites, one core, "
        f"medians of {result['repeats']}",
        box=None,
        pad_edge=False,
    )
    for heading in ("", "B/value", "x float32", "contribute s", "add s", "open s", "combine s"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, row in {**result["ours"], **result["baselines"]}.items():
        table.add_row(
            name.replace("_", " "),
            f"{row['bytes_per_value']:.2f}",
            f"{row['upload_ratio']:.2f}",
            *(
                "-" if row[key] is None else f"{row[key]:.4f}"
                for key in (
                    "contribution_seconds",
                    "add_seconds",
                    "opening_seconds",
                    "combine_seconds",
                )
            ),
        )
    output.print(table)
    output.print(
        f"key ceremony of {result['ceremony_sites']} sites: {result['ceremony_seconds']:.2f} s; "
        f"opened by {result['threshold']} key-holders; combine of CKKS is its decryption",
        highlight=False,
    )
