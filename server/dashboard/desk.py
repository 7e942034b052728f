"""What all pages of the coordinator's dashboard share."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.web.application import Web
from common.web.playground.pages import address

from ..federation import FederationFolder
from ..starting import Engine
from .jobs import Jobs
from .parts import Parts
from .places import Shown
from .roll import Roll
from .runs import Run, Runs


@dataclass(frozen=True, slots=True, eq=False)
class Desk:
    """engine: starts and stops runs, None of a simulation, which nobody starts from here"""

    web: Web
    shown: Shown
    runs: Runs
    engine: Engine | None
    roll: Roll | None = None
    jobs: Jobs = field(default_factory=Jobs)
    _parts: dict[str, Parts] = field(default_factory=dict)

    @property
    def federation(self) -> FederationFolder:
        """The federation; pages that need it exist only where there is one."""
        assert self.shown.federation is not None
        return self.shown.federation

    @property
    def members(self) -> Roll:
        """Of the federation."""
        assert self.roll is not None
        return self.roll

    def parts(self, run: Run) -> Parts:
        """Of a run: one for all who watch it."""
        return self._parts.setdefault(run.key, Parts(self.web, run))

    def playground(self, run: Run) -> str:
        """Where its generator can be played with, nothing if it has none."""
        found = next((name for name, one in self.runs.generators().items() if one == run.place.release), None)
        return "" if found is None else address(found)
