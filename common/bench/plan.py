"""``fedcgan plan estimate``: what a plan costs, before anybody starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..terminal import output, print_result


def estimate(
    config: Annotated[Path, typer.Argument(help="TOML file of simulate, or the plan.json of a run folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Bytes, seconds, memory, precision and headroom of a plan; refuses one that cannot work.

    Reads the schema, never the table. Seconds are those of this machine.
    """
    from .estimate import estimate as measured
    from .estimate_table import rows
    from .stand_in import plan_of

    result = measured(*plan_of(config))

    def show() -> None:
        table = Table(box=None, pad_edge=False)
        for heading in ("", "estimate", ""):
            table.add_column(heading, style="dim" if not heading else None)
        for row in rows(result):
            table.add_row(row.name, row.value, row.meaning)
        output.print(table)

    print_result(result, as_json, show)
