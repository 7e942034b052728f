"""A run's own log: every public event of this process, for as long as the run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import FedcganError, StorageError
from common.event_log import run_log
from common.events import Began, RunEvent, SiteStands, SiteState, Turned, emit, listening
from common.plan import Plan
from common.schema import ImageSchema, Schema, TableSchema
from common.terminal import say

from .run_folder import RunFolder

_recorded: set[Path] = set()


@contextmanager
def recorded(folder: Path, plan: Plan, schema: Schema) -> Iterator[None]:
    """Write the events of the block to the log in ``folder``, beginning with what run it is.

    A log that cannot be written, on a full disk say, is no reason to end a run: that is said once. Within a
    block of the same folder it does nothing.
    """
    if folder.resolve() in _recorded:
        yield
        return
    log, told = run_log(folder), False

    def write(event: RunEvent) -> None:
        nonlocal told
        try:
            log.append(event)
        except StorageError as error:
            if not told:
                say(f"events of the run are lost: {error.message}")
            told = True

    _recorded.add(folder.resolve())
    try:
        with listening(write):
            emit(began(plan, schema))
            yield
    finally:
        _recorded.discard(folder.resolve())


@contextmanager
def with_its_end(folder: Path, plan: Plan, schema: Schema) -> Iterator[None]:
    """The same, with the run's state: running, and then how it ended; and locked, so that a run whose process
    died is known to be over.

    Raises StorageError if another process runs it.
    """
    if folder.resolve() in _recorded:
        yield
        return
    with RunFolder(folder).alone(), recorded(folder, plan, schema):
        emit(Turned(state="running"))
        try:
            yield
        except FedcganError as error:
            emit(Turned(state="failed", code=error.told, message=error.message, hint=error.hint))
            raise
        except KeyboardInterrupt:
            emit(Turned(state="interrupted"))
            raise
        except Exception as error:
            emit(Turned(state="failed", code=FedcganError.code, message=type(error).__name__))
            raise
        emit(Turned(state="finished"))


class Stands:
    """Tells how each site stands whenever that changes."""

    def __init__(self) -> None:
        self._known: dict[str, SiteState] = {}

    def __call__(self, site: str, state: SiteState) -> None:
        """A site is in this state."""
        if self._known.get(site) != state:
            self._known[site] = state
            emit(SiteStands(site=site, state=state))


def began(plan: Plan, schema: Schema) -> Began:
    """What run it is, as its log begins."""
    return Began(
        plan=plan.hash,
        run=plan.run,
        modality=modality_of(schema),
        schedule=plan.train.schedule if plan.train else "moments",
        sites=tuple(plan.federation.names),
        least=plan.federation.min_contributors,
        target=plan.privacy.epsilon,
        delta=plan.privacy.delta,
        unit=plan.privacy.unit,
        steps=plan.rounds,
    )


def modality_of(schema: Schema) -> str:
    """table, image or signal."""
    if isinstance(schema, TableSchema):
        return "table"
    return "image" if isinstance(schema, ImageSchema) else "signal"
