"""``fedcgan run PLAN``, ``status``, ``watch``, ``stop``, ``resume``: a run of a real federation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import ConfigError, FedcganError, InterruptedRunError, RefusedError
from common.terminal import output, print_result

from .federation_cli import Json, Where, open_federation

if TYPE_CHECKING:
    from common.events import State

    from .federation import FederationFolder
    from .run_folder import RunFolder
    from .watching import Show, Watching

Which = Annotated[
    str | None, typer.Argument(help="The beginning of the plan's hash; the latest run if none.")
]
Watched = Annotated[
    str | None,
    typer.Argument(
        help="OUT or OUT.run of a simulation, or the beginning of a plan's hash; the latest run if none."
    ),
]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")]

_LOOK = 0.5  # seconds between two looks at a run
_START = 180.0  # seconds in which a ServerApp must have begun


def run_plan(
    path: Path, federation: Path, detach: bool, as_json: bool, answer: float, approval: float, away: float
) -> None:
    """Run a plan in its federation, and watch it to its end."""
    from common.plan import Plan

    from .run_folder import Conditions, RunFolder

    folder = open_federation(federation)
    try:
        plan = Plan.from_json(path.read_bytes().strip())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    _check(folder, plan.schema_hash, plan.federation.coordinator.identity)
    names = plan.federation.names
    conditions = Conditions.of(folder, names, answer=answer, approval=approval, away=away)
    if missing := [name for name in names if name not in conditions.nodes]:
        raise ConfigError(
            f"{', '.join(missing)}: not a member any more, and the keys need all of the roster",
            hint="make a plan without them: fedcgan plan new --site ...",
        )
    _begin(folder, RunFolder.make(folder, plan, conditions))
    _follow(RunFolder.find(folder, plan.hash), detach, as_json)


def status(which: Which = None, federation: Where = Path(), as_json: Json = False) -> None:
    """How far a run is, and how each site stands."""
    from .run_folder import RunFolder
    from .run_table import table

    found = RunFolder.find(open_federation(federation), which).status
    print_result(found.model_dump(mode="json"), as_json, lambda: output.print(table(found)))


def watch(
    which: Watched = None,
    federation: Where = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print one event a line.")] = False,
) -> None:
    """Follow a run to its end; Ctrl-C ends the watching, not the run."""
    from .watching import Watching, found

    run = Watching(found(which, federation))
    if as_json:
        raise SystemExit(_streamed(run))
    _ended(run, _seen(run))


def stop(which: Which = None, federation: Where = Path(), as_json: Json = False) -> None:
    """Stop a run; what was finished is kept."""
    from common.event_log import run_log
    from common.events import Turned

    from .run_folder import RunFolder
    from .superlink import SuperLink

    folder = open_federation(federation)
    run = RunFolder.find(folder, which)
    if run.is_conducted() and (number := run.flower_run) is not None:
        SuperLink(folder).stop_run(number)
        deadline = time.monotonic() + _START
        while run.is_conducted() and time.monotonic() < deadline:
            time.sleep(_LOOK)
    now = run.status
    if now.state != "finished":
        run.write(now.model_copy(update={"state": "stopped", "eta_seconds": None}))
        run_log(run.folder).append(Turned(state="stopped"))
    hint = f"fedcgan resume {now.plan[:12]} goes on"
    print_result({"plan": now.plan, "state": run.status.state}, as_json, lambda: output.print(hint))


def resume(
    which: Which = None, federation: Where = Path(), detach: Detach = False, as_json: Json = False
) -> None:
    """Go on with a run that was stopped or interrupted, or that failed; nothing is done twice."""
    from .run_folder import Conditions, RunFolder

    folder = open_federation(federation)
    run = RunFolder.find(folder, which)
    if run.status.state == "finished":
        raise ConfigError(f"the run is finished: {run.folder / 'release'}")
    before = run.conditions
    run.keep(
        Conditions.of(
            folder,
            run.plan.federation.names,
            answer=before.answer_seconds,
            approval=before.approval_seconds,
            away=before.return_seconds,
        )
    )
    if not run.is_conducted():
        _begin(folder, run)
    _follow(run, detach, as_json)


def _check(folder: FederationFolder, schema_hash: str, identity: str) -> None:
    if identity != folder.identity.public:
        raise ConfigError("the plan is of another coordinator", hint="fedcgan plan new makes one of ours")
    if schema_hash != folder.schema.hash:
        raise ConfigError("the plan is for another schema than the federation's")


def _begin(folder: FederationFolder, run: RunFolder) -> None:
    """Start a ServerApp and wait until it conducts the run. Raises SuperLinkError, StorageError."""
    from common.errors import SuperLinkError

    from .run_folder import first_status
    from .superlink import SuperLink

    before = run.status
    fresh = first_status(run.plan).model_copy(update={"started": before.started, "sites": before.sites})
    run.write(fresh)
    try:
        number = SuperLink(folder).start_run(run.folder)
    except SuperLinkError:
        run.write(before)
        raise
    deadline = time.monotonic() + _START
    while not run.is_conducted() and run.status.phase == "":
        if time.monotonic() > deadline:
            run.write(before)
            raise SuperLinkError(
                "the run did not start", hint=f"its log: flwr log {number}; {folder.folder}/flower"
            )
        time.sleep(_LOOK)
    run.number(number)


def _follow(run: RunFolder, detach: bool, as_json: bool) -> None:
    """Show a run until it ends."""
    if detach:
        facts = {"plan": run.status.plan, "folder": str(run.folder)}
        hint = f"{run.folder}; fedcgan watch {run.status.plan[:12]} shows it"
        print_result(facts, as_json, lambda: output.print(hint, highlight=False, soft_wrap=True))
        return
    from .run_shown import unseen
    from .watching import Watching

    watching = Watching(run)
    if not as_json:
        _ended(watching, _seen(watching))
        return
    state = _followed(watching, unseen)
    last = run.status
    if state != "finished":
        raise _ending(watching)
    data = {**last.model_dump(mode="json"), "release": str(run.folder / "release")}
    print_result(data, True, lambda: None)


def _followed(run: Watching, show: Show) -> State:
    try:
        return run.follow(show)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "not watched any more; the run goes on",
            hint="fedcgan watch shows it" + (", fedcgan stop stops it" if run.run.deployed else ""),
        ) from None


def _seen(run: Watching) -> State:
    """Show it to people until it ends."""
    from .run_shown import Shown

    with Shown() as shown:
        return _followed(run, shown)


def _streamed(run: Watching) -> int:
    """Print events until it ends; the exit code. The last event says the rest, so no envelope follows."""
    import os
    import sys

    from common.errors import exit_code_of

    from .run_shown import Streamed

    try:
        state = run.follow(Streamed())
    except KeyboardInterrupt:
        return InterruptedRunError.exit_code
    except BrokenPipeError:  # nobody reads on, and what is left in the buffer must not be written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if state == "finished":
        return 0
    ending = _ending(run)
    return exit_code_of(ending.refusal_code) if isinstance(ending, RefusedError) else ending.exit_code


def _ended(run: Watching, state: State) -> None:
    """Say what is next; its own error and exit code are ours."""
    if state != "finished":
        raise _ending(run)
    folder = run.run.folder
    if run.run.deployed:
        text = f"{folder / 'release'}: the generator and synthetic records, epsilon {run.view.epsilon:.3f}"
        output.print(text, highlight=False, soft_wrap=True)
        output.print(f"next   fedcgan release {folder}", highlight=False, soft_wrap=True)
    elif (folder.with_suffix("") / "report.json").exists():
        made = f"next   fedcgan sample --from {folder.with_suffix('')}"
        output.print(made, highlight=False, soft_wrap=True)


def _ending(run: Watching) -> FedcganError:
    """What ended a run that did not finish."""
    plan = run.plan.hash[:12]
    hint = (
        f"fedcgan resume {plan} goes on" if run.run.deployed else "simulate it again with --resume to go on"
    )
    ending = run.ending()
    if ending is not None and ending.code:
        return RefusedError("", ending.code, ending.message, ending.hint or hint)
    return InterruptedRunError(f"the run is {run.state}", hint=hint)


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
