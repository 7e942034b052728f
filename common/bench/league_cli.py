"""``fedcgan bench league`` and ``fedcgan bench pages``: systems side by side, and the page that says it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..terminal import output, print_result
from .kept import typed


def league(
    train: Annotated[Path, typer.Option(help="CSV or Parquet of real records.")],
    schema: Annotated[Path, typer.Option(help="TOML file; columns it does not have are left out.")],
    label: Annotated[str, typer.Option(help="The column that classifiers predict.")],
    out: Annotated[Path, typer.Option(help="Folder of results, one file a run; what is there is kept.")],
    test: Annotated[
        Path | None, typer.Option(help="Real records kept from all systems; without it, a part of --train.")
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0.05, max=0.5, help="That part, always the same records.")
    ] = 0.2,
    positive: Annotated[
        list[str] | None, typer.Option(help="Value of the label that is asked for; may be repeated.")
    ] = None,
    epsilon: Annotated[list[float] | None, typer.Option(help="May be repeated; 1 if not given.")] = None,
    delta: Annotated[float, typer.Option()] = 1e-5,
    peer: Annotated[list[str] | None, typer.Option(help="May be repeated; all if not given.")] = None,
    ours: Annotated[bool, typer.Option(help="Play our own rows, too.")] = True,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, max=2**31 - 1, help="May be repeated; 0 if not given.")
    ] = None,
    sites: Annotated[int, typer.Option(min=3, help="Of our federation.")] = 5,
    skew: Annotated[float, typer.Option(help="Dirichlet concentration of the label over our sites.")] = 0.3,
    minutes: Annotated[float, typer.Option(min=0.01, help="That a run may take.")] = 60.0,
    memory: Annotated[float, typer.Option(min=0.1, help="GiB that a run may hold.")] = 12.0,
    threads: Annotated[int, typer.Option(min=1, help="That libraries are told to use.")] = 1,
    again: Annotated[
        bool, typer.Option("--again", help="Play once more what failed or took too long.")
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder of the peers' environments.")] = None,
    python: Annotated[str, typer.Option(help="That these are made with.")] = sys.executable,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """This program and its peers on one table: quality, time and memory, each in its own environment."""
    from .league.environment import default_cache
    from .league.measure import League
    from .league.results import Limits
    from .league.standings import print_table
    from .league.systems import chosen
    from .league.tables import Tables

    systems = chosen(peer or [], ours)
    tables = Tables.load(train, test, schema, label, tuple(positive or ()), held_out)
    played = League(
        tables=tables,
        systems=tuple(systems),
        epsilons=tuple(epsilon or [1.0]),
        delta=delta,
        seeds=tuple(seed or [0]),
        sites=sites,
        skew=skew,
        limits=Limits(minutes=minutes, memory_bytes=round(memory * 2**30), threads=threads),
        folder=out,
        cache=cache or default_cache(),
        python=python,
        command=typed(sys.argv[1:]),
    ).play(again)
    results = [result.model_dump(mode="json") for result in played]
    print_result({"results": results}, as_json, lambda: print_table(played))


def pages(
    folder: Annotated[Path, typer.Argument(help="Of results of one kind, or of such folders.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Markdown file, pictures beside it; or the folder of all pages."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Tables and pictures from results: the same results give the same bytes."""
    from .pages import write_pages

    files = write_pages(folder, out)
    result = {"files": [str(path) for path in files]}
    print_result(result, as_json, lambda: output.print("\n".join(result["files"]), soft_wrap=True))
