"""The append-only file of everything ever spent on a site's records.

One JSON object a line; each line carries the hash of the line before it. A charge is on disk
before the update it pays for exists. The lines themselves are in ``entries``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ..durable import sync_folder
from ..errors import BudgetExceededError, ForeignLedgerError, LedgerError, MixedUnitsError, ReplayError
from .accounting import epsilon, within
from .entries import VERSION, Answered, BrokenChainError, Chain, Charge, Ending, Entry, Outcome, encoded
from .mechanism import Mechanism, Unit

_MAKER = object()  # only this module can make receipts


class Receipt:
    """Proof that a step was charged. Made by ``Ledger.charge`` alone, good for one update."""

    def __init__(self, maker: object, plan: str, step: str, mechanism: Mechanism) -> None:
        if maker is not _MAKER:
            raise LedgerError("a receipt comes from the ledger", hint="call Ledger.charge")
        self.plan, self.step, self.mechanism = plan, step, mechanism
        self._used = False

    def use(self) -> None:
        """Mark the receipt as used. Raises LedgerError the second time."""
        if self._used:
            raise LedgerError(f"the receipt of step {self.step} was used already")
        self._used = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Cap:
    """The most a site allows to be spent on its records, over all runs together."""

    epsilon: float
    delta: float


class Ledger:
    """The ledger of one data set at one site.

    dataset: names the records it is about; the first line holds it

    Guarantees: when ``charge`` returns, the entry is on disk (fsync of file and folder); a crash at
    any moment can only over-count. Two processes cannot charge at once (flock). A file in which a line
    was altered, moved or taken out, also at the end, raises LedgerError and nothing is charged: a second
    file, ``ledger.head``, says how far it goes. (Older copies of both files together cannot be told from
    the real ones here; a site's stored answers can tell, see ``fedcgan site budget --verify``.) The ledger
    of another data set raises ForeignLedgerError. All charges protect the same unit.
    """

    def __init__(self, path: Path, dataset: str) -> None:
        self.path, self.dataset = path, dataset
        self._known: Chain | None = None

    def create(self) -> None:
        """Start an empty ledger. Does nothing if there is one already.

        Raises LedgerError if there was one that is not empty: its head is still here.
        """
        if self.path.exists():
            return
        if self._head.exists() and self._read_head()[0] > 0:
            raise self._damaged("it is gone, its head is not")
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        first = encoded({"ledger": VERSION, "dataset": self.dataset})
        self._write_head(0, hashlib.sha256(first).hexdigest())
        _write_durably(self.path, first)

    def lines(self) -> tuple[Entry, ...]:
        """Everything that it holds, in order, verified; nothing is written. Raises LedgerError."""
        with self._locked("rb") as file:
            return self._read(file).entries

    def entries(self) -> list[Charge]:
        """All charges, verified. Raises LedgerError."""
        return _charges(self.lines())

    def answers(self) -> list[Answered]:
        """Every answer that a charge paid for, verified. Raises LedgerError."""
        return [line for line in self.lines() if isinstance(line, Answered)]

    def outcomes(self) -> list[Outcome]:
        """What became of steps and plans, verified. Raises LedgerError."""
        return [line for line in self.lines() if isinstance(line, Outcome)]

    def spent(self, delta: float) -> float:
        """The epsilon of everything charged so far."""
        return epsilon((entry.mechanism for entry in self.entries()), delta)

    def check(self, planned: list[Mechanism], cap: Cap, plan: str, unit: Unit) -> float:
        """The epsilon after ``planned``. Raises BudgetExceededError, with the numbers, if above the cap.

        What this plan was charged already is not counted twice. Raises MixedUnitsError if something else
        was charged for another unit.
        """
        others = [entry for entry in self.entries() if entry.plan != plan]
        _one_unit({entry.unit for entry in others}, unit)
        before = [entry.mechanism for entry in others]
        self._stay_within(before, planned, cap, unit)
        return epsilon([*before, *planned], cap.delta)

    def charge(
        self, mechanism: Mechanism, *, plan: str, step: str, cap: Cap, unit: Unit, sensitivity: float
    ) -> Receipt:
        """Record one step durably before its update exists.

        sensitivity: L2, of what will be released, in its own units

        A step that was charged but not answered is not charged again: nothing of it has left. One that
        was answered is refused: its charge is used up, whatever became of the stored answer.
        Raises BudgetExceededError, MixedUnitsError or ReplayError, and nothing is recorded.
        """
        with self._locked() as file:
            chain = self._read(file)
            same = chain.at(plan, step)
            if any(isinstance(line, Answered) for line in same):
                raise ReplayError(
                    f"step {step} was charged and answered, and the stored answer is gone",
                    hint="a charge pays for one answer; start a new run",
                )
            if any(line.mechanism != mechanism for line in _charges(same)):
                raise ReplayError(f"step {step} was charged as another mechanism")
            _one_unit(chain.units, unit)
            if not _charges(same):
                self._stay_within(chain.mechanisms, [mechanism], cap, unit)
                place = _next(chain, plan, step)
                self._append(file, Charge(**place, mechanism=mechanism, unit=unit, sensitivity=sensitivity))
        return Receipt(_MAKER, plan, step, mechanism)

    def answered(self, answer: bytes, *, plan: str, step: str) -> None:
        """Record durably that an answer to a charged step is about to leave; once for each step."""
        with self._locked() as file:
            chain = self._read(file)
            if any(isinstance(line, Answered) for line in chain.at(plan, step)):
                return
            digest = hashlib.sha256(answer).hexdigest()
            self._append(file, Answered(**_next(chain, plan, step), answer=digest))

    def ended(self, outcome: Ending, *, plan: str, step: str = "", reason: str = "") -> None:
        """Record durably what became of a step, or of the whole plan; once for each outcome.

        reason: an error code. Does nothing for a step that was never charged here: it had no beginning.
        """
        with self._locked() as file:
            chain = self._read(file)
            known = chain.at(plan, step)
            if any(isinstance(line, Outcome) and line.outcome == outcome for line in known):
                return
            if not any(line.plan == plan and step in ("", line.step) for line in _charges(chain.entries)):
                return
            self._append(file, Outcome(**_next(chain, plan, step), outcome=outcome, reason=reason))

    def _append(self, file: BinaryIO, line: Entry) -> None:
        raw = encoded(line.model_dump())
        file.seek(0, os.SEEK_END)
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
        self._write_head(line.sequence, hashlib.sha256(raw).hexdigest())

    def _write_head(self, lines: int, last: str) -> None:
        """How far the ledger goes. Written after the line, so that a crash leaves it one line behind."""
        _write_durably(self._head, encoded({"lines": lines, "last": last}))

    def _read_head(self) -> tuple[int, str]:
        try:
            head = json.loads(self._head.read_bytes())
            return int(head["lines"]), str(head["last"])
        except (OSError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self._damaged(f"its {self._head.name} is missing or damaged") from error

    def _check_head(self, chain: Chain, file: BinaryIO) -> None:
        """Raise LedgerError unless the ledger goes at least as far as its head, by the same line.

        A head that is behind means a crash: the lines after it may not have reached the disk yet. They do
        before anything is charged or answered on top of them; who only reads leaves all as it is.
        """
        count, last = self._read_head()
        known = len(chain.hashes)
        if not 0 <= count < known:
            raise self._damaged(f"it ends after line {known}, its {self._head.name} knows {count + 1}")
        if chain.hashes[count] != last:
            raise self._damaged(f"line {count + 1} is not the one that {self._head.name} knows")
        if count < known - 1 and file.writable():
            os.fsync(file.fileno())
            self._write_head(known - 1, chain.hashes[-1])

    @property
    def _head(self) -> Path:
        return self.path.with_suffix(".head")

    @staticmethod
    def _stay_within(before: list[Mechanism], planned: list[Mechanism], cap: Cap, unit: Unit) -> None:
        after = [*before, *planned]
        if not within(after, cap.epsilon * (1 + 1e-9), cap.delta):
            now, then = epsilon(before, cap.delta), epsilon(after, cap.delta)
            raise BudgetExceededError(
                f"epsilon would go from {now:.4g} to {then:.4g}, the cap is {cap.epsilon:g} "
                f"(delta {cap.delta:g}, {unit}); nothing was charged",
                hint="the site may raise its cap, or the coordinator may plan for a smaller epsilon",
            )

    @contextmanager
    def _locked(self, mode: Literal["r+b", "rb"] = "r+b") -> Iterator[BinaryIO]:
        """The file, for one process alone; ``rb`` for as many readers as there are, and no writer."""
        try:
            file = open(self.path, mode)  # noqa: SIM115 - closed below
        except FileNotFoundError as error:
            raise LedgerError(
                f"there is no ledger at {self.path}",
                hint="restore it from a backup; a site without its ledger must not contribute",
            ) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_SH if mode == "rb" else fcntl.LOCK_EX)
            yield file

    def _read(self, file: BinaryIO) -> Chain:
        """All lines, verified; those of the reading before are parsed again only if a byte changed."""
        file.seek(0)
        raw = file.read()
        whole = raw[: raw.rfind(b"\n") + 1]
        try:
            chain = Chain.read(whole, self._known)
        except BrokenChainError as error:
            raise self._damaged(str(error)) from error
        if chain.dataset != self.dataset:
            raise ForeignLedgerError(
                f"the ledger {self.path} is that of data set {chain.dataset[:32]}, not of {self.dataset}",
                hint="bring back the ledger of these records; other records need a site folder of their own",
            )
        self._check_head(chain, file)
        if len(whole) < len(raw) and file.writable():
            # a crash while writing: the charge was not complete, so no update was made of it
            file.truncate(len(whole))
        self._known = chain
        return chain

    def _damaged(self, why: str) -> LedgerError:
        return LedgerError(
            f"the ledger {self.path} is damaged: {why}",
            hint="restore it from a backup; a site without its ledger must not contribute",
        )


def _charges(lines: Iterable[Entry]) -> list[Charge]:
    return [line for line in lines if isinstance(line, Charge)]


def _one_unit(units: Collection[Unit], unit: Unit) -> None:
    """Raise MixedUnitsError if charges protect another unit."""
    if others := sorted({*units} - {unit}):
        raise MixedUnitsError(
            f"this ledger's charges protect {others[0]!r}, not {unit!r}; nothing was charged",
            hint=f"agree on a plan with unit {others[0]!r}: a row's guarantee says nothing about a person",
        )


def _next(chain: Chain, plan: str, step: str) -> dict[str, Any]:
    """What the next line begins with."""
    return {
        "sequence": len(chain.hashes),
        "previous": chain.hashes[-1],
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": plan,
        "step": step,
    }


def _write_durably(path: Path, content: bytes) -> None:
    """Replace a file whole, so that a crash leaves the old or the new one."""
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
