"""The append-only file of everything ever spent on a site's records.

One JSON object a line; each line carries the hash of the line before it. A charge is on disk
before the update it pays for exists.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ..durable import sync_folder
from ..errors import BudgetExceededError, LedgerError, ReplayError
from .accounting import epsilon
from .mechanism import Mechanism

UNIT: Final = "add/remove one record"
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


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    sequence: int
    previous: str
    time: str
    plan: str
    step: str


class Charge(_Line):
    """A mechanism was paid for."""

    kind: Literal["charge"] = "charge"
    mechanism: Mechanism


class Answered(_Line):
    """An answer that a charge paid for is about to leave. answer: its SHA-256."""

    kind: Literal["answered"] = "answered"
    answer: str


Line = Annotated[Charge | Answered, Field(discriminator="kind")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cap:
    """The most a site allows to be spent on its records, over all runs together."""

    epsilon: float
    delta: float


class Ledger:
    """The ledger of one data set at one site.

    Guarantees: when ``charge`` returns, the entry is on disk (fsync of file and folder); a crash at
    any moment can only over-count. Two processes cannot charge at once (flock). A file in which a line
    was altered, moved or taken out, also at the end, raises LedgerError and nothing is charged: a second
    file, ``ledger.head``, says how far it goes. (Older copies of both files together cannot be told from
    the real ones here; a site's stored answers can tell, see ``fedcgan site budget --verify``.)
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Start an empty ledger. Does nothing if there is one already."""
        if self.path.exists():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        first = _encoded({"ledger": 1, "dataset": uuid.uuid4().hex, "unit": UNIT})
        self._write_head(0, hashlib.sha256(first).hexdigest())
        _write_durably(self.path, first)

    def entries(self) -> list[Charge]:
        """All charges, verified. Raises LedgerError."""
        with self._locked() as file:
            return _charges(self._read(file)[0])

    def answers(self) -> list[Answered]:
        """Every answer that a charge paid for, verified. Raises LedgerError."""
        with self._locked() as file:
            return [line for line in self._read(file)[0] if isinstance(line, Answered)]

    def spent(self, delta: float) -> float:
        """The epsilon of everything charged so far."""
        return epsilon((entry.mechanism for entry in self.entries()), delta)

    def check(self, planned: list[Mechanism], cap: Cap, plan: str) -> float:
        """The epsilon after ``planned``. Raises BudgetExceededError, with the numbers, if above the cap.

        What this plan was charged already is not counted twice.
        """
        others = [e.mechanism for e in self.entries() if e.plan != plan]
        return self._within(others, planned, cap)

    def charge(self, mechanism: Mechanism, *, plan: str, step: str, cap: Cap) -> Receipt:
        """Record one step durably before its update exists.

        A step that was charged but not answered is not charged again: nothing of it has left. One that
        was answered is refused: its charge is used up, whatever became of the stored answer.
        Raises BudgetExceededError or ReplayError, and nothing is recorded.
        """
        with self._locked() as file:
            lines, previous = self._read(file)
            same = [line for line in lines if (line.plan, line.step) == (plan, step)]
            if any(isinstance(line, Answered) for line in same):
                raise ReplayError(
                    f"step {step} was charged and answered, and the stored answer is gone",
                    hint="a charge pays for one answer; start a new run",
                )
            if any(line.mechanism != mechanism for line in _charges(same)):
                raise ReplayError(f"step {step} was charged as another mechanism")
            if not same:
                self._within([charge.mechanism for charge in _charges(lines)], [mechanism], cap)
                place = self._place(lines, previous, plan, step)
                self._append(file, Charge(**place, mechanism=mechanism))
        return Receipt(_MAKER, plan, step, mechanism)

    def answered(self, answer: bytes, *, plan: str, step: str) -> None:
        """Record durably that an answer to a charged step is about to leave; once for each step."""
        with self._locked() as file:
            lines, previous = self._read(file)
            if any(isinstance(line, Answered) and (line.plan, line.step) == (plan, step) for line in lines):
                return
            place = self._place(lines, previous, plan, step)
            self._append(file, Answered(**place, answer=hashlib.sha256(answer).hexdigest()))

    def _place(self, lines: list[Any], previous: str, plan: str, step: str) -> dict[str, Any]:
        return {
            "sequence": len(lines) + 1,
            "previous": previous,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "plan": plan,
            "step": step,
        }

    def _append(self, file: BinaryIO, line: _Line) -> None:
        raw = _encoded(line.model_dump())
        file.seek(0, os.SEEK_END)
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
        self._write_head(line.sequence, hashlib.sha256(raw).hexdigest())

    def _write_head(self, lines: int, last: str) -> None:
        """How far the ledger goes. Written after the line, so that a crash leaves it one line behind."""
        _write_durably(self._head, _encoded({"lines": lines, "last": last}))

    def _check_head(self, lines: list[bytes]) -> None:
        """Raise LedgerError unless the ledger goes at least as far as its head, by the same line."""
        try:
            head = json.loads(self._head.read_bytes())
            count, last = int(head["lines"]), str(head["last"])
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise self._damaged(f"its {self._head.name} is missing or damaged") from error
        if not 0 <= count < len(lines):
            raise self._damaged(f"it ends after line {len(lines)}, its {self._head.name} knows {count + 1}")
        if hashlib.sha256(lines[count]).hexdigest() != last:
            raise self._damaged(f"line {count + 1} is not the one that {self._head.name} knows")

    @property
    def _head(self) -> Path:
        return self.path.with_suffix(".head")

    def _within(self, before: list[Any], planned: list[Any], cap: Cap) -> float:
        after = epsilon([*before, *planned], cap.delta)
        if after > cap.epsilon * (1 + 1e-9):
            now = epsilon(before, cap.delta)
            raise BudgetExceededError(
                f"epsilon would go from {now:.4g} to {after:.4g}, the cap is {cap.epsilon:g} "
                f"(delta {cap.delta:g}, {UNIT}); nothing was charged",
                hint="the site may raise its cap, or the coordinator may plan for a smaller epsilon",
            )
        return after

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        try:
            file = open(self.path, "r+b")  # noqa: SIM115 - closed below
        except FileNotFoundError as error:
            raise LedgerError(
                f"there is no ledger at {self.path}",
                hint="restore it from a backup; a site without its ledger must not contribute",
            ) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _read(self, file: BinaryIO) -> tuple[list[Charge | Answered], str]:
        """All lines after the head, and the hash of the last one."""
        file.seek(0)
        lines = file.read().splitlines(keepends=True)
        try:
            head = json.loads(lines[0])
            if head["ledger"] != 1 or head["unit"] != UNIT:
                raise LedgerError("a ledger of another version or unit")
            if len(lines) > 1 and not lines[-1].endswith(b"\n"):
                # a crash while writing: the charge was not complete, so no update was made of it
                file.truncate(sum(map(len, lines[:-1])))
                lines.pop()
            entries = [_LINE.validate_json(line) for line in lines[1:]]
        except (IndexError, KeyError, TypeError, ValueError, RecursionError) as error:  # json's, pydantic's
            raise self._damaged("a line cannot be read") from error
        for number, (entry, before) in enumerate(zip(entries, lines, strict=False), start=1):
            if entry.sequence != number or entry.previous != hashlib.sha256(before).hexdigest():
                raise self._damaged(f"line {number + 1} does not follow from the line before it")
        self._check_head(lines)
        return entries, hashlib.sha256(lines[-1]).hexdigest()

    def _damaged(self, why: str) -> LedgerError:
        return LedgerError(
            f"the ledger {self.path} is damaged: {why}",
            hint="restore it from a backup; a site without its ledger must not contribute",
        )


_LINE: TypeAdapter[Charge | Answered] = TypeAdapter(Line)


def _charges(lines: list[Charge | Answered]) -> list[Charge]:
    return [line for line in lines if isinstance(line, Charge)]


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _write_durably(path: Path, content: bytes) -> None:
    """Replace a file whole, so that a crash leaves the old or the new one."""
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
