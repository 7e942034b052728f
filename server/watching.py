"""A run that somebody watches: the fold of its log, and the word on whether anybody conducts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from common.errors import ConfigError, FederationError
from common.events import RunEvent, State, Turned
from common.run_view import RunView, Watched
from common.run_words import expected

from .federation import FederationFolder
from .run_folder import Failure, RunFolder, folder_of_simulation

OPEN: tuple[State, ...] = ("waiting", "running")
"""States in which a run may still get on."""

_LOOK = 0.5  # seconds between two looks at a run

Show = Callable[["Watching", list[RunEvent]], None]


class Watching:
    """A run in its folder, of a federation or of a simulation."""

    def __init__(self, run: RunFolder) -> None:
        self.run, self.plan = run, run.plan
        self.phases = expected(self.plan, deployed=run.deployed)
        self.state: State = "waiting"
        self.failure: Failure | None = None
        """What ended it, if something did."""
        self._watched = Watched(run.folder)

    @property
    def view(self) -> RunView:
        """What the log says so far."""
        return self._watched.view

    @property
    def events(self) -> int:
        """How many were taken in."""
        return self._watched.events

    def samples(self) -> Path | None:
        """The last that were drawn."""
        looked = next((look.samples for look in reversed(self.view.looks) if look.samples), None)
        return None if looked is None else self.run.folder / "coordinator" / looked

    def look(self) -> list[RunEvent]:
        """Take in what is new, and return it. Raises StorageError.

        Who conducts a run may die and write nothing. A federation's status.json knows that; of a simulation
        its lock does, and the log says the rest.
        """
        if self.run.deployed:
            status = self.run.status  # before the log, which then has its end, too
            self.state, self.failure = status.state, status.failure
            return self._watched.refresh()
        conducted = self.run.is_conducted()
        new = self._watched.refresh()
        dead = self.view.began is not None and self.view.state in OPEN and not conducted
        self.state, self.failure = "interrupted" if dead else self.view.state, None
        if (told := self.view.ending) is not None and told.code:
            self.failure = Failure(code=told.code, message=told.message, hint=told.hint)
        return new

    def follow(self, show: Show) -> State:
        """Show it until it ends; how it ended."""
        while True:
            show(self, self.look())
            if self.state not in OPEN:
                return self.state
            time.sleep(_LOOK)

    def ending(self) -> Turned | None:
        """How it ended, in the log's form; made here if nobody was left to write it."""
        if self.state in OPEN:
            return None
        told = self.view.ending
        if told is not None and told.state == self.state:
            return told
        return Turned(state=self.state, **(self.failure.model_dump() if self.failure else {}))


def found(which: str | None, federation: Path) -> RunFolder:
    """The run that is meant: a folder, ``OUT`` of a simulation, or the beginning of a plan's hash.

    federation: where to look for a hash, or for the latest run. Raises FederationError, ConfigError.
    """
    if which is not None:
        for folder in (Path(which), folder_of_simulation(Path(which))):
            run = RunFolder(folder)
            if run.deployed or ((folder / "plan.json").exists() and (folder / "sites").is_dir()):
                return run  # a bundle has a plan, too
    try:
        return RunFolder.find(FederationFolder.open(federation), which)
    except FederationError as error:
        if which is None or (federation / "federation.toml").exists():
            raise
        raise ConfigError(
            f"there is no run {which}: no such folder, and no federation in {federation.absolute()}",
            hint="OUT of a simulation; or the hash of a plan, with --federation FOLDER",
        ) from error
