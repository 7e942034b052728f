"""The lines of a ledger, and the chain that they form: each carries the hash of the line before it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from .accounting import repeated
from .mechanism import Mechanism, Unit

VERSION: Final = 2

Ending = Literal["finished", "failed", "abandoned"]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    sequence: int
    previous: str
    time: str
    plan: str
    step: str


class Charge(_Line):
    """A mechanism was paid for.

    unit: whom it protects; sensitivity: L2 sensitivity of what was released, in its own units (> 0). The
    accounting does not need it: a mechanism's noise is relative to it.
    """

    kind: Literal["charge"] = "charge"
    mechanism: Mechanism
    unit: Unit
    sensitivity: float = Field(gt=0)


class Answered(_Line):
    """An answer that a charge paid for is about to leave. answer: its SHA-256."""

    kind: Literal["answered"] = "answered"
    answer: str


class Outcome(_Line):
    """What became of a step, or of a whole plan (then ``step`` is empty). Charges stay charged.

    reason: an error code, or empty
    """

    kind: Literal["outcome"] = "outcome"
    outcome: Ending
    reason: str


Entry = Charge | Answered | Outcome
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


class BrokenChainError(Exception):
    """The lines are not those that were written; says why."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Verified lines.

    dataset: whose ledger it is; entries: all lines but the first; hashes: SHA-256 of every line
    size, digest: number and SHA-256 of the bytes they came from
    places: the entries of each (plan, step); costs: how often each mechanism was charged, for which units
    """

    dataset: str
    entries: tuple[Entry, ...]
    hashes: tuple[str, ...]
    size: int
    digest: bytes
    places: Mapping[tuple[str, str], tuple[Entry, ...]] = field(default_factory=dict)
    costs: Mapping[Mechanism, int] = field(default_factory=dict)
    units: frozenset[Unit] = frozenset()

    @classmethod
    def read(cls, raw: bytes, known: Chain | None = None) -> Chain:
        """Verify whole lines. Raises BrokenChainError.

        known: an earlier result. If ``raw`` begins with the very bytes it came from, only the rest is
        parsed; else everything is. The hash of all bytes is taken anew each time.
        """
        if known is None:
            return cls._start(raw)
        hasher = hashlib.sha256(memoryview(raw)[: known.size])
        if len(raw) < known.size or hasher.digest() != known.digest:
            return cls._start(raw)
        if len(raw) == known.size:
            return known
        rest = raw[known.size :]
        hasher.update(rest)
        return known._extended(rest, hasher.digest())

    @classmethod
    def _start(cls, raw: bytes) -> Chain:
        first, end, rest = raw.partition(b"\n")
        try:
            head = json.loads(first)
            version, dataset = head["ledger"], head["dataset"]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise BrokenChainError("its first line cannot be read") from error
        if version != VERSION or not isinstance(dataset, str):
            raise BrokenChainError(f"it is of version {version!r:.20}, this is version {VERSION}")
        start = cls(dataset, (), (hashlib.sha256(first + end).hexdigest(),), len(first + end), b"")
        return start._extended(rest, hashlib.sha256(raw).digest())

    def _extended(self, rest: bytes, digest: bytes) -> Chain:
        """This chain and the lines in ``rest``; digest: SHA-256 of all bytes together."""
        lines = [line + b"\n" for line in rest.split(b"\n")[:-1]]
        try:
            added = [_ENTRY.validate_json(line) for line in lines]
        except (ValueError, RecursionError) as error:  # json's, pydantic's
            raise BrokenChainError("a line cannot be read") from error
        hashes = [self.hashes[-1]]
        for number, (entry, line) in enumerate(zip(added, lines, strict=True), start=len(self.hashes)):
            if entry.sequence != number or entry.previous != hashes[-1]:
                raise BrokenChainError(f"line {number + 1} does not follow from the line before it")
            hashes.append(hashlib.sha256(line).hexdigest())
        places, costs = dict(self.places), Counter(self.costs)
        charges = [entry for entry in added if isinstance(entry, Charge)]
        for entry in added:
            place = (entry.plan, entry.step)
            places[place] = (*places.get(place, ()), entry)
        costs.update(charge.mechanism for charge in charges)
        return Chain(
            dataset=self.dataset,
            entries=(*self.entries, *added),
            hashes=(*self.hashes, *hashes[1:]),
            size=self.size + len(rest),
            digest=digest,
            places=places,
            costs=costs,
            units=self.units.union(charge.unit for charge in charges),
        )

    def at(self, plan: str, step: str) -> tuple[Entry, ...]:
        """The entries of a step, in order."""
        return self.places.get((plan, step), ())

    @property
    def mechanisms(self) -> list[Mechanism]:
        """Everything charged, equal sampled steps together."""
        return [part for mechanism, count in self.costs.items() for part in repeated(mechanism, count)]


def encoded(content: dict[str, Any]) -> bytes:
    """One line."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode() + b"\n"
