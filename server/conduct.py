"""A run of a federation: wait for approvals, run, wait for sites that went away, release, and say how far."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from common.errors import (
    FedcganError,
    InterruptedRunError,
    NotApprovedError,
    NotEnoughSitesError,
    PausedError,
    RefusedError,
    WithdrawnError,
)
from common.events import RunEvent, SiteStands, SiteState, Stage, Turned, emit, listening, stage
from common.plan import PROPOSE_STEP, Plan
from common.protocol import frames
from common.protocol.messages import Propose, Refused, Standing

from .asking import Asking, Send
from .checkpoint import Checkpoint
from .courier import Courier, Seen
from .recorded import recorded
from .rehearsal import StandIns
from .release import costs_of, write_release, write_report
from .rounds import Coordinator
from .run_folder import Failure, RunFolder, SiteStatus, Status

MakeCourier = Callable[[RunFolder, Plan, Seen], Courier]
_APPROVAL_PAUSE = 5.0  # seconds between two questions whether a plan was approved
_RETURN_PAUSE = 5.0  # seconds before a step is tried again; twice as many each time that nothing has moved
_LONGEST_PAUSE = 30.0
_WRITTEN = 0.5  # seconds between two writings of the status


def conduct(folder: Path, make_courier: MakeCourier) -> None:
    """Run the plan in ``folder`` to its release, from wherever it stands. Raises what ended it."""
    run = RunFolder(folder)
    with run.alone():
        plan, progress = run.plan, Progress(run)
        with recorded(folder, plan, run.schema), progress.reported():
            courier = make_courier(run, plan, progress.seen)
            conditions = run.conditions
            sent = StandIns(plan, folder, courier.send).send if plan.rehearsal else courier.send
            send = progress.overhearing(sent)
            asking = Asking(plan, run.identity, send)
            if not Checkpoint.load_or_new(folder / "coordinator", plan.hash).enrolled:
                wait_for_approval(asking, run, progress, conditions.approval_seconds)
            # with keys the plan's own rules say how many sites are enough, whoever has left since
            state = _with_patience(
                lambda: Coordinator(plan, run.schema, run.identity, send, folder / "coordinator"),
                conditions.return_seconds,
            )
            if not plan.rehearsal:
                _release(run, plan, state)


def wait_for_approval(asking: Asking, run: RunFolder, progress: Progress, patience: float) -> None:
    """Propose the plan until every site has approved it.

    Raises NotApprovedError if one refuses, or if time is up.
    """
    proposal = Propose(plan=asking.plan.to_json(), table=run.schema.model_dump_json().encode())
    deadline = time.monotonic() + patience
    waiting = list(asking.plan.federation.names)
    everybody = len(waiting)
    stage("approve", 0, everybody, 0.0)
    while True:
        before = len(waiting)
        replies = asking(PROPOSE_STEP, dict.fromkeys(waiting, proposal), Standing.kind)
        for site, frame in replies.good.items():
            standing = Standing.from_bytes(frame.body).standing
            progress.stands(site, standing)
            if standing == "refused":
                raise NotApprovedError(
                    f"{site} refused the plan", hint="ask its data steward why; make another plan"
                )
            if standing == "approved":
                waiting.remove(site)
        for error in replies.bad.values():
            if not isinstance(error, RefusedError) or error.refusal_code != PausedError.code:
                raise error
        if len(waiting) < before:
            stage("approve", everybody - len(waiting), everybody, 0.0)
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise NotApprovedError(
                f"not approved in time by {', '.join(waiting)}",
                hint="their data stewards: fedcgan site plans, then approve; then fedcgan resume",
            )
        asking.trouble.clear()
        time.sleep(_APPROVAL_PAUSE)


def _with_patience(coordinator: Callable[[], Coordinator], patience: float) -> Checkpoint:
    """Run; where too few sites are there, again, until nothing has moved for ``patience`` seconds."""
    reached, moved, pause = 0, time.monotonic(), _RETURN_PAUSE
    while True:
        now = coordinator()
        try:
            return now.run()
        except (NotEnoughSitesError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.refusal_code != PausedError.code:
                raise
            if now.reached > reached:
                reached, moved, pause = now.reached, time.monotonic(), _RETURN_PAUSE
            if time.monotonic() - moved > patience:
                raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _release(run: RunFolder, plan: Plan, state: Checkpoint) -> None:
    """The release and its report, where they are shown only once they are whole."""
    making, out = run.folder / "release.new", run.folder / "release"
    stage("release", 0, 1, run.status.epsilon)
    shutil.rmtree(making, ignore_errors=True)
    write_release(plan, run.schema, state, making)
    wall_seconds = (datetime.now(UTC) - run.status.started).total_seconds()
    write_report(plan, state, costs_of(state, wall_seconds), {}, making)
    shutil.rmtree(out, ignore_errors=True)
    making.rename(out)
    stage("release", 1, 1, run.status.epsilon)


_HEARD = 1 << 16  # bytes: a refusal is short
_STANDING: dict[str, SiteState] = {PausedError.code: "paused", WithdrawnError.code: "withdrawn"}
_OF_PEOPLE = ("pending", *_STANDING.values())
"""States that do not end because a site is online."""


class Progress:
    """Keeps ``status.json`` true while a run goes on."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        now = datetime.now(UTC)
        before = run.status
        self._status = before.model_copy(
            update={"state": "waiting", "phase": "approve", "updated": now, "failure": None}
        )
        self._written = 0.0
        self._phase_began = time.monotonic()
        self._phase_done = 0

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Write how the block goes, and how it ends."""
        emit(_turned(self._status))
        self._change(write=True)
        try:
            with listening(self._event):
                yield
        except FedcganError as error:
            self._ended("failed", Failure(code=error.told, message=error.message, hint=error.hint))
            raise
        except KeyboardInterrupt:
            self._ended("interrupted", None)  # fedcgan stop says that it was stopped
            raise InterruptedRunError("interrupted", hint="fedcgan resume goes on") from None
        except Exception as error:
            self._ended("failed", Failure(code="internal", message=type(error).__name__, hint="see its log"))
            raise
        self._ended("finished", None)

    def seen(self, site: str, state: SiteState) -> None:
        """A site is ready, busy, late or gone."""
        known = self._status.sites[site].state
        if known != state and not (known in _OF_PEOPLE and state in ("ready", "busy")):
            self._site(site, state)

    def overhearing(self, send: Send) -> Send:
        """``send``, noticing which sites are paused or have left by what they refuse; for people to read."""

        def overheard(asked: Mapping[str, bytes]) -> dict[str, bytes]:
            answers = send(asked)
            for site, raw in answers.items():
                known = self._status.sites[site].state
                if (state := _stands(raw)) is not None and known != state:
                    self._site(site, state)
                elif state is None and known in _STANDING.values():
                    self._site(site, "ready")
            return answers

        return overheard

    def stands(self, site: str, standing: str) -> None:
        """A site's people approved, refused, or have not answered."""
        states: dict[str, SiteState] = {"approved": "ready", "refused": "refused"}
        state = states.get(standing, "pending")
        if self._status.sites[site].state != state:
            self._site(site, state)

    def _site(self, site: str, state: SiteState) -> None:
        emit(SiteStands(site=site, state=state))
        one = SiteStatus(state=state, since=datetime.now(UTC))
        self._change(write=True, sites={**self._status.sites, site: one})

    def _event(self, event: RunEvent) -> None:
        if not isinstance(event, Stage):
            return
        if event.phase != self._status.phase:
            self._phase_began, self._phase_done = time.monotonic(), event.done
        gone = event.done - self._phase_done
        spent = time.monotonic() - self._phase_began
        eta = spent / gone * (event.total - event.done) if gone > 0 else None
        last = event.done in (0, event.total) or time.monotonic() - self._written > _WRITTEN
        self._change(
            write=last,
            state="waiting" if event.phase == "approve" else "running",
            phase=event.phase,
            done=event.done,
            total=event.total,
            epsilon=max(event.epsilon, self._status.epsilon),
            eta_seconds=eta,
        )

    def _ended(self, state: str, failure: Failure | None) -> None:
        phase = {"phase": "release"} if state == "finished" else {}
        self._change(write=True, state=state, failure=failure, eta_seconds=None, **phase)

    def _change(self, *, write: bool, **changes: object) -> None:
        before, changes["updated"] = self._status.state, datetime.now(UTC)
        self._status = self._status.model_copy(update=changes)
        if self._status.state != before:
            emit(_turned(self._status))
        if write:
            self._run.write(self._status)
            self._written = time.monotonic()


def _turned(status: Status) -> Turned:
    """The run's state as its log says it."""
    failure = status.failure.model_dump() if status.failure else {}
    return Turned(state=status.state, **failure)


def _stands(raw: bytes) -> SiteState | None:
    """What an answer says of its site's people, if it is a refusal that says so; nobody has verified it."""
    if len(raw) > _HEARD:
        return None
    try:
        frame = frames.read(raw, _HEARD)
        return (
            _STANDING.get(Refused.from_bytes(frame.body).code) if frame.header.kind == Refused.kind else None
        )
    except FedcganError:
        return None
