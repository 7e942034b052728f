"""``fedcgan plan ...``: plans, before anybody starts."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from ..terminal import guarded, output, print_result

if TYPE_CHECKING:
    from ..plan import Plan

app = typer.Typer(
    name="fedcgan plan",
    help="Plans, before anybody starts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def estimate(
    config: Annotated[Path, typer.Argument(help="TOML file of simulate, or the plan.json of a run folder.")],
    federation: Annotated[
        Path | None,
        typer.Option("--federation", help="Its members and its schema, for a file of `plan new`."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Bytes, seconds, memory, precision and headroom of a plan; refuses one that cannot work.

    Reads the schema, never the table. Seconds are those of this machine.
    """
    from .estimate import estimate as measured
    from .estimate_table import rows
    from .stand_in import plan_of

    if federation is None:
        result = measured(*plan_of(config))
    else:
        folder = _folder(federation)
        result = measured(_planned(folder, config, None), folder.schema)

    def show() -> None:
        table = Table(box=None, pad_edge=False)
        for heading in ("", "estimate", ""):
            table.add_column(heading, style="dim" if not heading else None)
        for row in rows(result):
            table.add_row(row.name, row.value, row.meaning)
        output.print(table)

    print_result(result, as_json, show)


@app.command()
def new(
    config: Annotated[Path, typer.Argument(help="TOML file of a run, or of a simulation to be made real.")],
    federation: Annotated[Path, typer.Option("--federation", help="The federation's folder.")] = Path(),
    sites: Annotated[
        list[str] | None, typer.Option("--site", help="A member that takes part; all if none is named.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where it goes (NAME.plan.json).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Make a plan for the members of a federation; its sites approve it by its hash."""
    from ..durable import check_free, write_whole

    plan = _planned(_folder(federation), config, sites)
    path = out or Path(f"{plan.run.rpartition('-')[0]}.plan.json")
    check_free(path)  # sites may have approved the plan that is there
    write_whole(path, lambda temporary: temporary.write_bytes(plan.to_json()))
    data = {"plan": plan.hash, "path": str(path), "sites": plan.federation.names}

    def human() -> None:
        output.print(f"{path}: plan {plan.hash}", highlight=False, soft_wrap=True)
        output.print(
            f"epsilon {plan.privacy.epsilon:g}, delta {plan.privacy.delta:g}, {plan.privacy.unit}; "
            f"{', '.join(plan.federation.names)}",
            highlight=False,
            soft_wrap=True,
        )
        output.print(f"next   fedcgan run {path} --federation {federation}", highlight=False, soft_wrap=True)

    print_result(data, as_json, human)


def _folder(federation: Path) -> Any:
    return import_module("server.federation").FederationFolder.open(federation)  # by name: it is a side


def _planned(folder: Any, config: Path, sites: list[str] | None) -> Plan:
    from ..run_config import load_run

    plan: Plan = import_module("server.planned").planned(folder, load_run(config), sites)
    return plan


def main() -> int:
    """Run the command line; returns the exit code."""
    return guarded(app)
