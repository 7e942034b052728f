"""Starting, stopping and going on with a run of a federation; for the command line and for the dashboard.

None of it speaks to a site: an engine, in real life SuperLink, starts the process that conducts the run.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from common.errors import ConfigError, SuperLinkError
from common.event_log import run_log
from common.events import Turned
from common.plan import Plan

from .federation import FederationFolder
from .run_folder import Conditions, RunFolder, Status, first_status

_LOOK = 0.5  # seconds between two looks at a run
_START = 180.0  # seconds in which a ServerApp must have begun, or ended


class Engine(Protocol):
    """What starts and stops runs, and knows who is there. Raises SuperLinkError."""

    def start_run(self, folder: Path) -> int:
        """Start whoever conducts the run in ``folder``. Returns the engine's number of it."""
        ...

    def stop_run(self, number: int) -> None:
        """Stop it."""
        ...

    def online(self) -> dict[int, str]:
        """Since when each node that is online is so, by its number."""
        ...


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds: for one answer of a site, for all sites to approve, for sites to come back."""

    answer: float = 1800.0
    approval: float = 72 * 3600.0
    away: float = 7200.0


def seconds(text: str) -> float:
    """``90``, ``30m``, ``72h`` in seconds. Raises ConfigError."""
    scale = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}.get(text[-1:])
    try:
        found = float(text[:-1]) * scale if scale else float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1e8:
        raise ConfigError(f"{text!r} is not a time", hint="e.g. 90, 30m, 72h")
    return found


def make_run(federation: FederationFolder, plan: Plan, times: Times) -> RunFolder:
    """A folder for a run of this plan.

    Raises ConfigError if the plan is not for this federation as it is now, StorageError if it was run.
    """
    if plan.federation.coordinator.identity != federation.identity.public:
        raise ConfigError("the plan is of another coordinator", hint="fedcgan plan new makes one of ours")
    if plan.schema_hash != federation.schema.hash:
        raise ConfigError("the plan is for another schema than the federation's")
    names = plan.federation.names
    conditions = _conditions(federation, plan, times)
    if missing := [name for name in names if name not in conditions.nodes]:
        raise ConfigError(
            f"{', '.join(missing)}: not a member any more, and the keys need all of the roster",
            hint="make a plan without them: fedcgan plan new --site ...",
        )
    return RunFolder.make(federation, plan, conditions)


def begin(run: RunFolder, engine: Engine, logs: Path) -> None:
    """Start it and wait until somebody conducts it. logs: folder named to people if nobody does.

    Raises SuperLinkError, StorageError; then the status is as before.
    """
    before = run.status
    fresh = first_status(run.plan).model_copy(update={"started": before.started, "sites": before.sites})
    run.number(None)  # that of an earlier start would stop nothing
    run.write(fresh)
    try:
        number = engine.start_run(run.folder)
    except SuperLinkError:
        run.write(before)
        raise
    run.number(number)  # at once: whatever becomes of this wait, the run can be stopped
    deadline = time.monotonic() + _START
    while not run.is_conducted() and run.status.phase == "":
        if time.monotonic() > deadline:
            with suppress(SuperLinkError):  # else it could begin later, when nobody waits for it
                engine.stop_run(number)
                run.number(None)
            run.write(before)
            raise SuperLinkError("the run did not start", hint=f"its log: flwr log {number}; {logs}")
        time.sleep(_LOOK)


def renew(federation: FederationFolder, run: RunFolder) -> None:
    """Before a run goes on: keys that its sites have by now, waiting as long as it did.

    Raises ConfigError if it is finished.
    """
    if run.status.state == "finished":
        raise ConfigError(f"the run is finished: {run.folder / 'release'}")
    before = run.conditions
    times = Times(before.answer_seconds, before.approval_seconds, before.return_seconds)
    run.keep(_conditions(federation, run.plan, times))


def stop(run: RunFolder, engine: Engine) -> Status:
    """Stop it; what was finished is kept. Returns how it stood. Raises SuperLinkError if it goes on."""
    number, now = run.flower_run, run.status
    begins = now.state == "waiting" and now.phase == ""
    if number is not None and (begins or run.is_conducted()):
        engine.stop_run(number)
        deadline = time.monotonic() + _START
        while run.is_conducted() and time.monotonic() < deadline:
            time.sleep(_LOOK)
    if run.is_conducted():
        why = "its number is not known" if number is None else "it has not ended in time"
        raise SuperLinkError(
            f"the run goes on: {why}", hint="try again; whoever ends 'fedcgan federation start' ends it, too"
        )
    now = run.status
    if now.state != "finished":
        run.write(now.model_copy(update={"state": "stopped", "eta_seconds": None}))
        run_log(run.folder).append(Turned(state="stopped"))
    return now


def _conditions(federation: FederationFolder, plan: Plan, times: Times) -> Conditions:
    names = plan.federation.names
    return Conditions.of(federation, names, answer=times.answer, approval=times.approval, away=times.away)
