"""``fedcgan run PLAN``, ``status``, ``watch``, ``stop``, ``resume``: a run of a real federation."""

from __future__ import annotations

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


def run_plan(
    path: Path, federation: Path, detach: bool, as_json: bool, answer: float, approval: float, away: float
) -> None:
    """Run a plan in its federation, and watch it to its end."""
    from common.plan import Plan

    from .run_folder import RunFolder
    from .starting import Times, make_run

    folder = open_federation(federation)
    try:
        plan = Plan.from_json(path.read_bytes().strip())
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", hint="fedcgan plan new makes a plan"
        ) from error
    _begin(folder, make_run(folder, plan, Times(answer, approval, away)))
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
    from .run_folder import RunFolder
    from .starting import stop as end
    from .superlink import SuperLink

    folder = open_federation(federation)
    run = RunFolder.find(folder, which)
    now = end(run, SuperLink(folder))
    hint = f"fedcgan resume {now.plan[:12]} goes on"
    print_result({"plan": now.plan, "state": run.status.state}, as_json, lambda: output.print(hint))


def resume(
    which: Which = None, federation: Where = Path(), detach: Detach = False, as_json: Json = False
) -> None:
    """Go on with a run that was stopped or interrupted, or that failed; nothing is done twice."""
    from .run_folder import RunFolder
    from .starting import renew

    folder = open_federation(federation)
    run = RunFolder.find(folder, which)
    renew(folder, run)
    if not run.is_conducted():
        _begin(folder, run)
    _follow(run, detach, as_json)


def _begin(folder: FederationFolder, run: RunFolder) -> None:
    from .starting import begin
    from .superlink import SuperLink

    begin(run, SuperLink(folder), folder.folder / "flower")


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
