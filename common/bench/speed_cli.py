"""``fedcgan bench speed`` and ``fedcgan bench profile``: what takes how long, and beside what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .kept import Keep, tell

Json = Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")]


def speed(
    batch: Annotated[
        list[int] | None, typer.Option(help="Records in a step of D; 64, 256 and 1024 if none is given.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=3)] = 5,
    release: Annotated[
        Path | None, typer.Option(help="A release to sample from; that of a small run if left out.")
    ] = None,
    engines: Annotated[
        bool, typer.Option("--engines/--no-engines", help="Run small federations in each engine: minutes.")
    ] = True,
    kept: Keep = None,
    as_json: Json = False,
) -> None:
    """Where time goes: a step with DP beside one without, features, fit, sampling, engines, the start."""
    from .speed import measure, print_table

    result = measure(tuple(batch or (64, 256, 1024)), repeats, release, engines)
    tell("speed", result, kept, as_json, lambda: print_table(result))


def profile(
    repeats: Annotated[int, typer.Option(min=1, help="Runs of the demo, beside one with a profiler.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the first run; others count on.")] = 0,
    name: Annotated[str, typer.Option(help="What this version is called on the page.")] = "this version",
    source: Annotated[
        Path | None, typer.Option(help="Folder of another version of this program, which is run instead.")
    ] = None,
    kept: Keep = None,
    as_json: Json = False,
) -> None:
    """Where the demo's time goes: seconds of each phase, and its functions that take longest."""
    from .profile import measure, print_table

    result = measure(repeats, seed, source and source.resolve(), name)
    tell("profile", result, kept, as_json, lambda: print_table(result))
