"""The command line of coordinators, researchers and analysts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from click.core import ParameterSource

if TYPE_CHECKING:
    import pandas as pd

    from common.arrays import Arrays
    from common.config import SimulationConfig
    from common.schema import Schema

from common.errors import ConfigError
from common.terminal import guarded, output, print_result

from .dashboard_cli import dashboard
from .report_cli import report
from .run_cli import resume, status, stop, watch
from .sample_cli import sample
from .track_cli import app as track_app
from .verify_cli import verify

app = typer.Typer(
    name="fedcgan",
    help="Federated conditional GANs with differential privacy; nobody holds the key.",
    epilog="Also: fedcgan federation ... (a real one), fedcgan plan ... (plans, what they cost), "
    "fedcgan release ... (a finished run as a signed bundle), "
    "fedcgan site ... (what a data steward needs), fedcgan bench ... (measurements).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
schema_app = typer.Typer(help="Schemas: the agreed, public description of a table.", no_args_is_help=True)
app.add_typer(schema_app, name="schema")
app.add_typer(track_app, name="track")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
Continue = Annotated[
    Path | None,
    typer.Option(
        "--continue",
        help="A finished release: the configured records are new ones of its sites, and join it.",
    ),
]

_OF_PLANS = ("federation", "detach", "answer_within", "approve_within", "return_within")
"""Parameters of ``run`` that say nothing about a simulation."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the release goes.")] = Path("demo-release"),
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Of everything public; never of noise.")
    ] = 0,
    engine: Annotated[str, typer.Option(help="inproc or ray.")] = "inproc",
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """The main job: six institutions train one generator on 20,190 real person-years, encrypted."""
    from .demo import config, records

    settings = config(seed).model_copy(update={"engine": _engine(engine)})
    frame, schema = records()
    _simulate(settings, frame, schema, out, resume, as_json)


@app.command()
def simulate(
    config: Annotated[Path, typer.Argument(help="TOML file; see docs/simulate.md.")],
    out: Annotated[Path, typer.Option(help="Where the release goes.")] = Path("release"),
    engine: Annotated[str | None, typer.Option(help="inproc or ray; overrides the file.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Images and signals: cpu or gpu, the size of networks and fit.")
    ] = None,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Make the sites' folders and the plan, do not run.")
    ] = False,
    earlier: Continue = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Run a simulated federation over your own records on this machine."""
    from common.config import SimulationConfig

    settings = SimulationConfig.load(config)
    if engine is not None:
        settings = settings.model_copy(update={"engine": _engine(engine)})
    if preset is not None:
        settings = settings.with_preset(preset)
    from .simulate import load_inputs

    frame, schema = load_inputs(settings, config.parent)
    if prepare_only:
        from .simulate import prepared

        run = prepared(settings, frame, schema, out, earlier)
        facts = {"folder": str(run.folder), "plan": run.plan.hash, "sites": run.plan.federation.names}
        print_result(facts, as_json, lambda: output.print(f"{run.folder}: plan {run.plan.hash[:12]}"))
        return
    _simulate(settings, frame, schema, out, resume, as_json, earlier)


@app.command()
def run(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="PLAN.json of a federation, or a simulation's TOML file.")],
    federation: Annotated[Path, typer.Option(help="Of a plan: the federation's folder.")] = Path(),
    detach: Annotated[bool, typer.Option("--detach", help="Of a plan: do not wait for the end.")] = False,
    answer_within: Annotated[str, typer.Option(help="Of a plan: a site that takes longer is late.")] = "30m",
    approve_within: Annotated[str, typer.Option(help="Of a plan: for all sites to approve it.")] = "72h",
    return_within: Annotated[
        str, typer.Option(help="Of a plan: for sites to come back if too few are there.")
    ] = "2h",
    out: Annotated[Path | None, typer.Option(help="Of a simulation: where the release goes.")] = None,
    engine: Annotated[str | None, typer.Option(help="Of a simulation: inproc or ray.")] = None,
    preset: Annotated[str | None, typer.Option(help="Of a simulation: cpu or gpu.")] = None,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Of a simulation: do not run.")
    ] = False,
    earlier: Continue = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Run a plan in its federation, or simulate one (as `simulate`)."""
    if file.suffix != ".json":
        if any(context.get_parameter_source(name) is not ParameterSource.DEFAULT for name in _OF_PLANS):
            raise ConfigError(
                "--federation, --detach, --answer-within, --approve-within and --return-within are for plans",
                hint=f"this file is simulated; a plan of a federation: fedcgan plan new {file}",
            )
        simulate(file, out or Path("release"), engine, preset, prepare_only, earlier, resume, as_json)
        return
    if any((out, engine, preset, prepare_only, earlier, resume)):
        raise ConfigError(
            "--out, --engine, --preset, --prepare-only, --continue and --resume are for simulations",
            hint="a run of a federation goes on with: fedcgan resume",
        )
    from .run_cli import run_plan
    from .starting import seconds

    times = (seconds(answer_within), seconds(approve_within), seconds(return_within))
    run_plan(file, federation, detach, as_json, *times)


def _engine(name: str) -> str:
    if name not in ("inproc", "ray"):
        raise ConfigError(f"there is no engine {name!r}", hint="engines are: inproc, ray")
    return name


def _simulate(
    settings: SimulationConfig,
    data: pd.DataFrame | Arrays,
    schema: Schema,
    out: Path,
    resume: bool,
    as_json: bool,
    earlier: Path | None = None,
) -> None:
    from .progress import shown
    from .run_folder import folder_of_simulation
    from .simulate import promised
    from .simulate import simulate as run
    from .summary import print_summary

    with shown(promised(settings, schema, earlier), as_json, folder_of_simulation(out)):
        outcome = run(settings, data, schema, out, resume, earlier=earlier)
    print_result(outcome.report, as_json, lambda: print_summary(outcome))


@schema_app.command("detect")
def schema_detect(
    table: Annotated[Path, typer.Argument(help="CSV or Parquet.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A new TOML file to write.")] = None,
    as_json: Json = False,
) -> None:
    """Propose a schema for a person to edit."""
    from common.durable import check_free, write_whole
    from common.schema_detect import HEADER, detect
    from common.tables import read_table

    if out is not None:
        check_free(out)  # a table that was named twice, or a schema that somebody has edited
    schema = detect(read_table(table), table.stem)
    text = HEADER + schema.to_toml()
    if out is not None:
        write_whole(out, lambda path: path.write_text(text, "utf-8"))
    print_result(
        {"schema": schema.model_dump(mode="json"), "path": str(out) if out else None},
        as_json,
        lambda: typer.echo(f"{out}: {len(schema.columns)} columns, to be edited" if out else text),
    )


@schema_app.command("show")
def schema_show(path: Annotated[Path, typer.Argument(help="TOML file.")], as_json: Json = False) -> None:
    """Check a schema and show it."""
    from common.schema import Schema

    from .summary import print_schema

    schema = Schema.load(path)
    data = {"schema": schema.model_dump(mode="json"), "hash": schema.hash}
    print_result(data, as_json, lambda: print_schema(schema))


@app.command()
def metrics(
    folder: Annotated[
        Path, typer.Argument(help="Of a federation: all its runs. Or OUT of a simulation, or a run's folder.")
    ] = Path(),
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 takes a free one.")] = 9464,
    once: Annotated[bool, typer.Option("--once", help="Print them, and do not serve.")] = False,
) -> None:
    """Serve runs to Prometheus at http://127.0.0.1:PORT/metrics. Public facts only."""
    from .exposed import HOST, Exposed, serve

    exposed = Exposed(folder)
    if once:
        typer.echo(exposed.text(), nl=False)
        return
    serve(exposed.text, port, lambda taken: typer.echo(f"http://{HOST}:{taken}/metrics"))


@app.command()
def version(as_json: Json = False) -> None:
    """Versions of this program and what it stands on."""
    from common.versions import versions

    found = versions()
    lines = "\n".join(f"{name} {value}" for name, value in found.items())
    print_result(found, as_json, lambda: typer.echo(lines))


for command in (sample, dashboard, status, watch, stop, resume, report, verify):
    app.command()(command)


def main() -> int:
    """Run the command line; returns the exit code."""
    return guarded(app)
