"""Runs as pages show them: each folded once, then only what is new; nobody reads a log twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.exceptions import HTTPException

from common.errors import FedcganError
from common.events import State
from common.plan import Plan
from common.run_view import RunView

from ..run_folder import Failure, RunFolder
from ..watching import Watching
from .places import Place, Shown

_FRESH = 0.4  # seconds for which nobody looks at the disk again


@dataclass(eq=False)
class Run:
    """One run, its plan, and its log as far as it was read."""

    key: str
    place: Place
    plan: Plan
    _watching: Watching = field(init=False)
    _looked: float = field(init=False, default=float("-inf"))
    lock: threading.RLock = field(init=False, default_factory=threading.RLock)
    """Held by whoever reads ``view``: another thread may take in events."""

    def __post_init__(self) -> None:
        self._watching = Watching(RunFolder(self.place.folder))

    @property
    def name(self) -> str:
        """What people called it."""
        return self.plan.run.rpartition("-")[0] or self.plan.run

    @property
    def view(self) -> RunView:
        """As of the last look."""
        return self._watching.view

    @property
    def state(self) -> State:
        """As of the last look."""
        return self._watching.state

    @property
    def failure(self) -> Failure | None:
        """What ended it, if something did."""
        return self._watching.failure

    @property
    def version(self) -> tuple[int, State]:
        """Another one whenever there is something new to show."""
        return self._watching.events, self.state

    def look(self) -> None:
        """Take in what is new. Raises StorageError."""
        with self.lock:
            if time.monotonic() - self._looked < _FRESH:
                return
            self._watching.look()
            self._looked = time.monotonic()


class Runs:
    """All runs of what is shown."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._known: dict[str, Run] = {}
        self._lock = threading.Lock()

    def all(self) -> list[Run]:
        """Newest first. What cannot be read is left out."""
        with self._lock:
            found = [self._run(key, place) for key, place in self._shown.places().items()]
        return [run for run in found if run is not None]

    def get(self, key: str) -> Run:
        """The run of this name, looked at. Raises HTTPException (404), StorageError."""
        run = self._known.get(key) or next((one for one in self.all() if one.key == key), None)
        if run is None or not run.place.folder.exists():
            raise HTTPException(404)
        run.look()
        return run

    def latest(self) -> Run | None:
        """The newest, looked at."""
        found = self.all()
        if found:
            found[0].look()
        return found[0] if found else None

    def generators(self) -> Mapping[str, Path]:
        """Releases with a portable generator, by name, newest first: folder of each."""
        return {
            f"{run.name} ({run.key})": run.place.release
            for run in self.all()
            if (run.place.release / "generator.onnx").is_file()
        }

    def _run(self, key: str, place: Place) -> Run | None:
        if key not in self._known:
            try:
                plan = Plan.from_json((place.folder / "plan.json").read_bytes())
            except (OSError, FedcganError):
                return None
            self._known[key] = Run(key, place, plan)
        return self._known[key]
