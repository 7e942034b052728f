"""``fedcgan bench ...``: prints a table, or one JSON envelope."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from ..terminal import guarded
from .choices import Schedule
from .kept import Keep, tell
from .league_cli import league, pages
from .scale_cli import scale
from .speed_cli import profile, speed
from .tax.command import tax


class Modality(StrEnum):
    """What records are."""

    TABLE = "table"
    IMAGE = "image"
    SIGNAL = "signal"


class Preset(StrEnum):
    """Machines that a fit is made for."""

    CPU = "cpu"
    GPU = "gpu"


class GeneratorKind(StrEnum):
    """Networks of images and signals."""

    FILM = "film"
    CONVOLUTIONAL = "convolutional"


app = typer.Typer(
    name="fedcgan bench",
    help="Measurements that repeat what docs/benchmarks.md says.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _bench() -> None:
    """Measurements that repeat what docs/benchmarks.md says."""


@app.command()
def he(
    parameters: Annotated[int, typer.Option(min=1000, help="Values in an update.")] = 421_696,
    sites: Annotated[int, typer.Option(min=3, max=16)] = 5,
    repeats: Annotated[int, typer.Option(min=1)] = 5,
    kept: Keep = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Bytes and seconds of the secure sum, beside CKKS with one shared key, and float32."""
    from .he import measure, print_table

    result = measure(parameters, sites, repeats)
    tell("he", result, kept, as_json, lambda: print_table(result))


@app.command()
def quality(
    modality: Annotated[Modality, typer.Option(help="What the records are.")] = Modality.TABLE,
    data: Annotated[
        Path | None, typer.Option(help="Images or signals: an npz, or Fashion-MNIST's folder of idx files.")
    ] = None,
    train: Annotated[Path | None, typer.Option(help="Tables: CSV or Parquet of real records.")] = None,
    test: Annotated[Path | None, typer.Option(help="Tables: real records that no site holds.")] = None,
    schema: Annotated[Path | None, typer.Option(help="Tables: TOML file.")] = None,
    label: Annotated[str | None, typer.Option(help="Tables: the column that classifiers predict.")] = None,
    epsilon: Annotated[float, typer.Option()] = 1.0,
    delta: Annotated[float, typer.Option()] = 1e-5,
    sites: Annotated[int, typer.Option(min=3)] = 5,
    skew: Annotated[
        float | None,
        typer.Option(help="Dirichlet concentration of the label over sites; the same mixture if left out."),
    ] = None,
    schedule: Annotated[Schedule, typer.Option(help="What follows the measure phase.")] = Schedule.MOMENTS,
    rounds: Annotated[
        int | None, typer.Option(min=0, help="Adversarial rounds (local) or steps (every-step).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    central: Annotated[
        bool, typer.Option("--central", help="Also score the same recipe on the pooled records.")
    ] = False,
    preset: Annotated[
        Preset, typer.Option(help="Size of networks and fit, for images and signals.")
    ] = Preset.CPU,
    generator: Annotated[GeneratorKind, typer.Option(help="Of images and signals.")] = GeneratorKind.FILM,
    kept: Keep = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """A federated run on your table, images or signals, scored beside real records and other baselines."""
    if modality is not Modality.TABLE:
        from . import array_quality

        if data is None:
            raise ConfigError(f"--modality {modality.value} needs --data")
        result = array_quality.measure(
            modality.value,
            data,
            epsilon,
            delta,
            sites,
            skew,
            schedule.value,
            rounds,
            seed,
            central,
            generator.value,
            preset.value,
        )
        tell("quality", result, kept, as_json, lambda: array_quality.print_table(result))
        return
    from .quality import measure, print_table

    if train is None or test is None or schema is None or label is None:
        raise ConfigError("a table needs --train, --test, --schema and --label")
    result = measure(
        train, test, schema, label, epsilon, delta, sites, skew, schedule.value, rounds, seed, central
    )
    tell("quality", result, kept, as_json, lambda: print_table(result))


@app.command()
def deployment(
    sites: Annotated[
        int, typer.Option(min=3, max=32, help="With a SuperNode and a vault each, 0.8 GB together.")
    ] = 3,
    schedule: Annotated[Schedule, typer.Option(help="What follows the measure phase.")] = Schedule.MOMENTS,
    rows: Annotated[int, typer.Option(min=400, help="Made-up rows of each site, two a patient.")] = 400,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Of local, or steps of every-step; few if not given.")
    ] = None,
    local_steps: Annotated[
        int | None, typer.Option(min=1, help="Of a round of local; 20 if not given.")
    ] = None,
    small: Annotated[
        bool, typer.Option("--small/--usual", help="Networks and a fit of seconds, or the usual ones.")
    ] = True,
    round_trip: Annotated[
        float | None, typer.Option(min=0, help="Milliseconds between each site and the coordinator.")
    ] = None,
    megabits: Annotated[
        float | None, typer.Option(min=0.1, help="A second, of each site's link, each way.")
    ] = None,
    kept: Keep = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Seconds and memory of a real federation, all of its processes on this machine."""
    from .deployment import measure, print_table

    result = measure(
        sites,
        schedule.value,
        rows=rows,
        rounds=rounds,
        local_steps=local_steps,
        small=small,
        round_trip=round_trip,
        megabits=megabits,
    )
    tell("deployment", result, kept, as_json, lambda: print_table(result))


@app.command()
def audit(
    epsilon: Annotated[float, typer.Option(help="What the attacked plans are calibrated for.")] = 2.0,
    trials: Annotated[int, typer.Option(min=200, max=1_000_000)] = 20_000,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    kept: Keep = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Attacks on this build, and on broken ones they must catch: lower bounds beside the claimed epsilon."""
    from .audit import judge, measure, print_table

    result = measure(epsilon, trials, seed)
    if not as_json:
        print_table(result)
    judge(result)
    tell("audit", result, kept, as_json, lambda: None)


@app.command()
def gate(
    records: Annotated[
        int, typer.Option(min=300, help="Training, held-out and synthetic records, each.")
    ] = 6000,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Gates of each case.")] = 5,
    fresh: Annotated[int, typer.Option(min=1, max=10_000, help="Gates of fresh draws.")] = 20,
    anonymeter: Annotated[
        bool,
        typer.Option("--anonymeter", help="Run it, too, on the first seed; FEDCGAN_ANONYMETER names it."),
    ] = False,
    kept: Keep = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """The privacy gate on synthetic records with planted copies, which it must fail, and on fresh ones."""
    from .gate import measure, print_table

    result = measure(records, seeds, fresh, anonymeter)
    tell("gate", result, kept, as_json, lambda: print_table(result))


app.command()(speed)
app.command()(profile)
app.command()(scale)
app.command()(league)
app.command()(tax)
app.command()(pages)


def main() -> int:
    """Run the command line; returns the exit code."""
    return guarded(app)
