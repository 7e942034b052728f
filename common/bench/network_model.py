"""What a network adds to a secure sum: round trips and bytes, fitted to runs over slow links.

seconds = base + trips * round trip + passes * bytes / rate. Base is everything that is no network: starts of
Flower's programs, computing, waiting for the next question; trips are those that wait for one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from ..contributions import encoding
from ..crypto import ring
from ..crypto.threshold import CIPHERTEXT_SHAPE, PARTIAL_SHAPE
from ..plan import Plan
from ..schema import Schema

_FEWEST = 4
_LEAST_TRIPS, _LEAST_PASSES = 4.0, 1.0  # two messages are each fetched and answered; every byte crosses once
_MEGABIT = 125_000


@dataclass(frozen=True, slots=True)
class Cell:
    """A measured run.

    round_trip: seconds; megabits: a second, of a site's link each way; seconds: of a secure sum; payload:
    bytes of its ciphertexts on that link
    """

    round_trip: float
    megabits: float
    seconds: float
    payload: float


@dataclass(frozen=True, slots=True)
class NetworkModel:
    """base: seconds; trips: round trips that wait for one another.

    passes: how often a sum's bytes take the link's time; off: largest relative error in the fitted cells
    """

    base: float
    trips: float
    passes: float
    off: float

    def seconds(self, sites: int, round_trip: float, megabits: float, payload: float, shared: float) -> float:
        """Of a sum of ``sites``, each with a link of ``megabits``, whose coordinator has one of ``shared``.

        What the coordinator's machine needs for more sites (starts, adding) is not in it.
        """
        rate = min(megabits, shared / sites) * _MEGABIT
        return self.base + self.trips * round_trip + self.passes * payload / rate


def fitted(cells: Sequence[Cell]) -> NetworkModel | None:
    """By least squares of relative errors, at least what the protocol needs; None for fewer than four cells.

    Where runs differ by more than the network adds, least squares alone would find that it adds nothing.
    """
    if len(cells) < _FEWEST:
        return None
    seconds = np.array([cell.seconds for cell in cells])
    parts = [[1.0, cell.round_trip, cell.payload / (cell.megabits * _MEGABIT)] for cell in cells]
    design = np.array(parts) / seconds[:, None]
    least = np.array([0.0, _LEAST_TRIPS, _LEAST_PASSES])
    more, _ = optimize.nnls(design, np.ones(len(cells)) - design @ least)
    found = least + more
    base, trips, passes = map(float, found)
    return NetworkModel(base, trips, passes, float(np.abs(design @ found - 1).max()))


def sum_payload(plan: Plan, schema: Schema) -> int:
    """Bytes of ciphertexts on the link of a site that opens, in the plan's longest sum: its contribution, the
    sum that it is asked to open, its share of the opening."""
    chunks = max(encoding(step, schema, plan).packing.chunks for step in plan.kinds)
    return chunks * (ring.byte_length(*CIPHERTEXT_SHAPE) + 2 * ring.byte_length(*PARTIAL_SHAPE))
