"""``fedcgan bench scale``: what one simulation costs, or how cost grows along an axis."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ..errors import ConfigError
from .choices import Schedule
from .kept import Keep, tell


class Axis(StrEnum):
    """What grows; the names of ``growth.axes.Along``, without its imports."""

    SITES = "sites"
    PARAMETERS = "parameters"
    CLASSES = "classes"
    COLUMNS = "columns"
    RECORDS = "records"


def scale(
    sites: Annotated[
        int, typer.Option(min=3, max=1024, help="Of one simulation, with 120 made-up records each.")
    ] = 200,
    schedule: Annotated[Schedule, typer.Option(help="What follows the measure phase.")] = Schedule.MOMENTS,
    along: Annotated[
        Axis | None, typer.Option(help="Instead of one simulation, measure how cost grows along this.")
    ] = None,
    value: Annotated[
        list[int] | None, typer.Option(min=2, help="On the axis, several times; its usual ones if none.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Of each value at most; medians are printed.")] = 5,
    enough: Annotated[
        float, typer.Option(min=0, help="Seconds after which a value is not measured again.")
    ] = 60.0,
    kept: Keep = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Seconds, memory and bytes of a simulation with many sites, or how they grow along an axis."""
    if along is None:
        from .scale import measure, print_table

        if value:
            raise ConfigError("--value goes with --along", hint="or say --sites")
        result = measure(sites, schedule.value)
        tell("scale", result, kept, as_json, lambda: print_table(result))
        return
    from .growth import measure as growth
    from .growth.axes import Along

    found = growth.measure(Along(along.value), value or None, schedule.value, repeats, enough)
    tell("scale", found, kept, as_json, lambda: growth.print_table(found))
