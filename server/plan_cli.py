"""``fedcgan plan ...``: plans, before anybody starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.bench.plan import estimate
from common.terminal import guarded, output, print_result

app = typer.Typer(
    name="fedcgan plan",
    help="Plans, before anybody starts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(estimate)


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
    from common.run_config import load_run
    from common.tables import write_whole

    from .federation import FederationFolder
    from .planned import planned

    wanted = load_run(config)
    plan = planned(FederationFolder.open(federation), wanted, sites)
    path = out or Path(f"{wanted.name}.plan.json")
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


def main() -> int:
    """Run the command line; returns the exit code."""
    return guarded(app)
