"""``fedcgan bench ...``: prints a table, or one JSON envelope."""

from __future__ import annotations

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


def main() -> int:
    """Run the command line; returns the exit code."""
    return guarded(app)
