"""``fedcgan bench tax``: quality of federations of several sizes beside one curator's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ...terminal import print_result
from ..choices import Schedule, Split
from ..kept import typed


def tax(
    train: Annotated[Path, typer.Option(help="CSV or Parquet of real records.")],
    test: Annotated[Path, typer.Option(help="Real records that no site holds.")],
    schema: Annotated[Path, typer.Option(help="TOML file; columns it does not have are left out.")],
    label: Annotated[str, typer.Option(help="The column that classifiers predict, and sites are skewed by.")],
    out: Annotated[Path, typer.Option(help="Folder of results, one file a run; what is there is kept.")],
    positive: Annotated[
        list[str] | None, typer.Option(help="Value of the label that is asked for; may be repeated.")
    ] = None,
    epsilon: Annotated[list[float] | None, typer.Option(help="May be repeated; 1 if not given.")] = None,
    delta: Annotated[float, typer.Option()] = 1e-5,
    sites: Annotated[
        list[int] | None,
        typer.Option(min=1, help="May be repeated; 1 is one curator with all records. 1, 3, 5, 10, 50."),
    ] = None,
    split: Annotated[
        list[Split] | None, typer.Option(help="May be repeated; all three if not given.")
    ] = None,
    skew: Annotated[float, typer.Option(help="Dirichlet concentration of the label over sites.")] = 0.3,
    schedule: Annotated[
        list[Schedule] | None, typer.Option(help="May be repeated; moments if not given.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=0, help="Adversarial rounds (local) or steps (every-step).")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, max=2**31 - 1, help="May be repeated; 0 if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """What a federation costs in quality, by number of sites, split of the records, and schedule."""
    from ..league.tables import Tables
    from .measure import Grid
    from .standings import print_table

    found = Grid(
        tables=Tables.load(train, test, schema, label, tuple(positive or ())),
        schedules=tuple(schedule or [Schedule.MOMENTS]),
        sites=tuple(sites or [1, 3, 5, 10, 50]),
        splits=tuple(split or Split),
        skew=skew,
        epsilons=tuple(epsilon or [1.0]),
        delta=delta,
        seeds=tuple(seed or [0]),
        rounds=rounds,
        folder=out,
        command=typed(sys.argv[1:]),
    ).run()
    results = [result.model_dump(mode="json") for result in found]
    print_result({"results": results}, as_json, lambda: print_table(found))
