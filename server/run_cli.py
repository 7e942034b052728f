"""``fedcgan run PLAN``, ``status``, ``watch``, ``stop``, ``resume``: a run of a real federation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import ConfigError, FedcganError, InterruptedRunError, RefusedError
from common.terminal import messages, output, print_result

from .federation_cli import Json, Where, open_federation

if TYPE_CHECKING:
    from .federation import FederationFolder
    from .run_folder import RunFolder, Status

Which = Annotated[
    str | None, typer.Argument(help="The beginning of the plan's hash; the latest run if none.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")]

_LOOK = 0.5  # seconds between two looks at a run


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
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    _begin(folder, make_run(folder, plan, Times(answer, approval, away)))
    _follow(RunFolder.find(folder, plan.hash), detach, as_json)


def status(which: Which = None, federation: Where = Path(), as_json: Json = False) -> None:
    """How far a run is, and how each site stands."""
    from .run_folder import RunFolder
    from .run_table import table

    found = RunFolder.find(open_federation(federation), which).status
    print_result(found.model_dump(mode="json"), as_json, lambda: output.print(table(found)))


def watch(which: Which = None, federation: Where = Path(), as_json: Json = False) -> None:
    """Follow a run to its end; Ctrl-C ends the watching, not the run."""
    from .run_folder import RunFolder

    _follow(RunFolder.find(open_federation(federation), which), False, as_json)


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
    """Show a run until it ends; its own error and exit code are ours."""
    if detach:
        facts = {"plan": run.status.plan, "folder": str(run.folder)}
        hint = f"{run.folder}; fedcgan watch {run.status.plan[:12]} shows it"
        print_result(facts, as_json, lambda: output.print(hint, highlight=False, soft_wrap=True))
        return
    last = _watched(run, as_json)
    if last.state != "finished":
        raise _ending(last)
    release = run.folder / "release"
    data = {**last.model_dump(mode="json"), "release": str(release)}

    def human() -> None:
        text = f"{release}: the generator and synthetic records, epsilon {last.epsilon:.3f}"
        output.print(text, highlight=False, soft_wrap=True)
        output.print(f"next   fedcgan release {run.folder}", highlight=False, soft_wrap=True)

    print_result(data, as_json, human)


def _watched(run: RunFolder, as_json: bool) -> Status:
    from .run_table import Shown

    view = Shown(quiet=as_json)
    try:
        while True:
            now = run.status
            view.show(now)
            if now.state not in ("waiting", "running"):
                return now
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        messages.print("the run goes on; fedcgan watch shows it, fedcgan stop stops it", highlight=False)
        raise
    finally:
        view.close()


def _ending(status: Status) -> FedcganError:
    hint = f"fedcgan resume {status.plan[:12]} goes on"
    if status.failure is not None:
        failure = status.failure
        return RefusedError("", failure.code, failure.message, failure.hint or hint)
    return InterruptedRunError(f"the run is {status.state}", hint=hint)
