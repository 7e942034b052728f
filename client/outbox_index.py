"""What left a site, found at once however much it is: an index in memory that grows with the list on disk."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from common.errors import OutboxError

from .outbox import BEGINNING, Outbox, Place, Sent

_DAY = 10  # letters of a time that are its day


@dataclass(frozen=True, slots=True)
class Total:
    """Of one kind of frame, or of all."""

    frames: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """Lines that were asked for.

    rows: int64[frames], their numbers in the list, oldest first; kinds: totals by kind, the largest first
    """

    rows: NDArray[np.int64]
    total: Total
    kinds: dict[str, Total]


@dataclass(slots=True)
class _Columns:
    """One entry a line. files, offsets: where it ends; plans, days, kinds: number of the name"""

    end: Place = BEGINNING
    last: Sent | None = None
    files: array[int] = field(default_factory=lambda: array("i"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    plans: array[int] = field(default_factory=lambda: array("i"))
    days: array[int] = field(default_factory=lambda: array("i"))
    kinds: array[int] = field(default_factory=lambda: array("i"))
    plan_names: dict[str, int] = field(default_factory=dict)
    day_names: dict[str, int] = field(default_factory=dict)
    kind_names: dict[str, int] = field(default_factory=dict)

    def take(self, place: Place, sent: Sent) -> None:
        self.files.append(place.file)
        self.offsets.append(place.offset)
        self.sizes.append(sent.bytes)
        for column, names, name in (
            (self.plans, self.plan_names, sent.plan),
            (self.days, self.day_names, sent.time[:_DAY]),
            (self.kinds, self.kind_names, sent.kind),
        ):
            column.append(names.setdefault(name, len(names)))
        self.end, self.last = place, sent


class OutboxIndex:
    """Of one site's outbox, for any number of threads.

    Guarantees: whatever was written before ``refresh`` is found after it; only what is new is read then. A
    line is 32 bytes of memory.
    """

    def __init__(self, folder: Path) -> None:
        self._outbox, self._lock = Outbox(folder), Lock()
        self._columns = _Columns()

    @property
    def plans(self) -> list[str]:
        """Plans of which something left, in order; empty for what is of none."""
        return list(self._columns.plan_names)

    @property
    def days(self) -> list[str]:
        """Days on which something left, in order."""
        return list(self._columns.day_names)

    def refresh(self) -> None:
        """Take in what left meanwhile. Raises OutboxError."""
        with self._lock:
            if not self._grew():
                self._columns = _Columns()
            for place, sent in self._outbox.placed(self._columns.end):
                self._columns.take(place, sent)

    def _grew(self) -> bool:
        """Whether the last known line is where it was: else the list was moved away, or is another."""
        last = self._columns.last
        try:
            return last is None or self._outbox.at([self._columns.end]) == [last]
        except OutboxError:
            return False

    def find(self, plan: str | None = None, day: str | None = None) -> Found:
        """Everything of one plan (empty: of none), of one day (UTC, 2027-01-31), of both, or everything."""
        with self._lock:
            known = self._columns
            mask = np.ones(len(known.sizes), np.bool_)
            if plan is not None:
                mask &= np.array(known.plans) == known.plan_names.get(plan, -1)
            if day is not None:
                mask &= np.array(known.days) == known.day_names.get(day, -1)
            rows = np.flatnonzero(mask)
            kinds, sizes = np.array(known.kinds, np.int64)[rows], np.array(known.sizes, np.int64)[rows]
            names = list(known.kind_names)
        frames = np.bincount(kinds, minlength=len(names))
        amounts = np.bincount(kinds, weights=sizes, minlength=len(names))
        totals = {name: Total(int(n), int(b)) for name, n, b in zip(names, frames, amounts, strict=True) if n}
        by_size = dict(sorted(totals.items(), key=lambda one: one[1].bytes, reverse=True))
        return Found(rows, Total(len(rows), int(sizes.sum())), by_size)

    def lines(self, rows: NDArray[np.int64]) -> list[Sent]:
        """The lines with these numbers. Raises OutboxError."""
        with self._lock:
            known = self._columns
            places = [Place(known.files[row], known.offsets[row]) for row in rows.tolist()]
        return self._outbox.at(places)
