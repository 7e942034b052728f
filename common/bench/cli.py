"""``fedcgan bench ...``: prints a table, or one JSON envelope."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..terminal import guarded, print_result

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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Bytes and seconds of the secure sum, beside CKKS with one shared key, and float32."""
    from .he import measure, print_table

    result = measure(parameters, sites, repeats)
    print_result(result, as_json, lambda: print_table(result))


@app.command()
def quality(
    train: Annotated[Path, typer.Option(help="CSV or Parquet of real records.")],
    test: Annotated[Path, typer.Option(help="Real records that no site holds.")],
    schema: Annotated[Path, typer.Option(help="TOML file.")],
    label: Annotated[str, typer.Option(help="The column that classifiers predict.")],
    epsilon: Annotated[float, typer.Option()] = 1.0,
    delta: Annotated[float, typer.Option()] = 1e-5,
    sites: Annotated[int, typer.Option(min=3)] = 5,
    skew: Annotated[
        float | None,
        typer.Option(help="Dirichlet concentration of the label over sites; the same mixture if left out."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=0, help="Adversarial rounds after the measure phase.")] = 0,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """A federated run on your table, scored beside real and independent columns."""
    from .quality import measure, print_table

    result = measure(train, test, schema, label, epsilon, delta, sites, skew, rounds, seed)
    print_result(result, as_json, lambda: print_table(result))


def main() -> int:
    """Run the command line; returns the exit code."""
    return guarded(app)
