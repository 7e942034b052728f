"""What plans will cost: measured by ``fedcgan plan estimate`` in a process of its own, and remembered.

It runs the plan's own steps on made-up records, which takes some seconds. One at a time, and the newest
question first: whoever changes a form wants no answer about what it was.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import FedcganError
from common.plan import Plan
from common.schema import Schema

from .commands import Command

_MOST = 64  # answers that are remembered


@dataclass(slots=True, eq=False)
class Estimate:
    """result: of ``common.bench.estimate``; None, None while it is measured"""

    result: dict[str, Any] | None = None
    error: FedcganError | None = None

    @property
    def busy(self) -> bool:
        """Whether it is measured now."""
        return self.result is None and self.error is None


class Estimates:
    """By a name that the caller makes of everything that matters."""

    def __init__(self) -> None:
        self._known: dict[str, Estimate] = {}
        self._lock = threading.Lock()
        self._current: tuple[str, Command] | None = None

    def of(self, name: str, plan: Plan, schema: Schema) -> Estimate:
        """The estimate, measured from now on if it is not known."""
        with self._lock:
            if name in self._known:
                return self._known[name]
            self._make_room()
            made = self._known[name] = Estimate()
            folder = tempfile.TemporaryDirectory(prefix="fedcgan-")
            here = Path(folder.name)
            (here / "plan.json").write_bytes(plan.to_json())
            (here / "schema.toml").write_text(schema.to_toml(), "utf-8")
            asked = Command("plan", "estimate", str(here / "plan.json"))
            self._current = name, asked
        threading.Thread(target=self._measure, args=(made, asked, folder), daemon=True).start()
        return made

    def get(self, name: str) -> Estimate | None:
        """If it was asked for and not given up."""
        return self._known.get(name)

    def also(self, name: str, known_as: str) -> None:
        """Know an estimate under another name, too."""
        with self._lock:
            if known_as in self._known:
                self._known[name] = self._known[known_as]

    def _make_room(self) -> None:
        if self._current is not None and self._known.get(self._current[0], Estimate()).busy:
            name, command = self._current
            del self._known[name]
            command.stop()
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]

    @staticmethod
    def _measure(made: Estimate, asked: Command, folder: tempfile.TemporaryDirectory[str]) -> None:
        with folder:
            try:
                made.result = asked.run()
            except FedcganError as error:
                made.error = error
