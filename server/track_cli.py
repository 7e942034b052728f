"""``fedcgan track``: a run in TensorBoard or MLflow, once or as it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import InterruptedRunError
from common.terminal import output, print_result

from .federation_cli import Json, Where

if TYPE_CHECKING:
    from common.events import RunEvent
    from common.trackers.told import Tracker

    from .watching import Watching

app = typer.Typer(
    help="A run in TensorBoard or MLflow, from its events; exporting twice adds nothing twice.",
    no_args_is_help=True,
)

Which = Annotated[
    str, typer.Argument(help="OUT or OUT.run of a simulation, or the beginning of a plan's hash.")
]
Follow = Annotated[bool, typer.Option("--follow", help="Go on until the run ends.")]


@app.command()
def tensorboard(
    run: Which,
    logdir: Annotated[Path, typer.Argument(help="What tensorboard --logdir is given.")],
    federation: Where = Path(),
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Write a run's numbers, samples and alarms for TensorBoard, into a folder of its own in LOGDIR."""
    from common.trackers.to_tensorboard import TensorBoard

    from .watching import Watching, found

    watching = Watching(found(run, federation))
    tracker = TensorBoard(logdir, watching.plan.run, watching.plan.hash)
    _export(watching, tracker, follow, as_json, str(tracker.folder), f"tensorboard --logdir {logdir}")


@app.command()
def mlflow(
    run: Which,
    federation: Where = Path(),
    experiment: Annotated[str, typer.Option(help="Of MLflow; made if there is none.")] = "fedcgan",
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Write a run's parameters, numbers and samples where MLFLOW_TRACKING_URI says, or to mlflow.db here."""
    from common.trackers.to_mlflow import MLflow

    from .watching import Watching, found

    watching = Watching(found(run, federation))
    tracker = MLflow(experiment, watching.plan.run, watching.plan.hash)
    _export(watching, tracker, follow, as_json, tracker.place, "mlflow ui")


def _export(run: Watching, tracker: Tracker, follow: bool, as_json: bool, place: str, seen_by: str) -> None:
    from common.trackers.told import Tracking

    tracking, gained = Tracking(tracker, run.run.folder), 0

    def told(_run: Watching, new: list[RunEvent]) -> None:
        nonlocal gained
        gained += tracking.take(new)

    try:
        if follow:
            run.follow(told)
        else:
            told(run, run.look())
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "not followed any more; what was exported stays", hint="the same command goes on from there"
        ) from None
    finally:
        tracker.close()

    def human() -> None:
        output.print(
            f"{place}: {gained} events more, the run is {run.state}", highlight=False, soft_wrap=True
        )
        output.print(f"next   {seen_by}", highlight=False, soft_wrap=True)

    print_result(
        {"plan": run.plan.hash, "place": place, "events": gained, "state": run.state}, as_json, human
    )
