"""One secure sum with all parties in this process: seconds of each part, bytes of each message."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ...crypto import bfv, ring, threshold
from ...crypto.encrypted import EncryptedUpdate
from ...crypto.packing import Packing, Quantiser
from ...csprng import Csprng
from ..ceremony import ceremony

_BITS = 14  # of a value, as an update of schedule ``local`` has them
_Made = TypeVar("_Made")


def point(parameters: int, sites: int, least: int) -> dict[str, Any]:
    """Figures of one sum. Every site sends the same ciphertext, so that only one is in memory.

    seconds: keys, all parties' computing together; contribute and open of one site; add and combine of the
    coordinator
    """
    keys, key, openers = ceremony(sites, least)
    packing = Packing(field_bits=_BITS, sites=sites, count=parameters)
    quantiser = Quantiser(np.full(parameters, 0.5), packing.max_value)
    integers = quantiser.to_integers(np.random.default_rng(0).normal(0, 0.1, parameters), Csprng())
    contribute, sent = _timed(lambda: bfv.encrypt(key, packing.pack(integers)))
    written, raw = _timed(lambda: EncryptedUpdate(sent).to_bytes())
    up = len(raw)
    del raw
    add, total = _timed(lambda: bfv.add([sent] * sites))
    subset = tuple(openers)
    opened, first = _timed(lambda: openers[1].open(total[:, 1], subset))
    partials = {1: first, **{j: openers[j].open(total[:, 1], subset) for j in subset if j != 1}}
    share = len(ring.to_bytes(first))
    combine, found = _timed(
        lambda: packing.unpack_sum(threshold.combine(total, partials, len(subset)), sites)
    )
    if not np.array_equal(found, integers * sites):
        raise AssertionError("the opened sum is not the sum")
    return {
        "seconds": {
            "keys": keys,
            "contribute": contribute + written,
            "add": add,
            "open": opened,
            "combine": combine,
        },
        "bytes": {"contribution": up, "opening_up": share, "opening_down": share},
    }


def _timed(work: Callable[[], _Made]) -> tuple[float, _Made]:
    start = time.perf_counter()
    made = work()
    return time.perf_counter() - start, made


def main() -> int:
    """Print the figures of the parameters, sites and openers given."""
    parameters, sites, least = map(int, sys.argv[1:])
    print(json.dumps(point(parameters, sites, least)))  # noqa: T201 - read by the process that started this
    return 0
