"""``fedcgan dashboard``: the coordinator's pages, or those of a simulation, on this machine alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PORT = 8600


def dashboard(
    folder: Annotated[
        Path, typer.Argument(help="A federation's folder; or OUT of a simulation, or OUT.run.")
    ] = Path(),
    port: Annotated[int, typer.Option(min=1024, max=65535, help="On 127.0.0.1.")] = PORT,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, change nothing.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser.")] = False,
) -> None:
    """Pages of a federation or a simulation in a browser; Ctrl-C ends them, not the runs."""
    from common.web.serving import serve

    from .dashboard.application import dashboard as pages
    from .dashboard.places import find
    from .superlink import SuperLink

    shown = find(folder)
    engine = SuperLink(shown.federation) if shown.federation is not None else None
    serve(pages(shown, engine, read_only=read_only, port=port), open_browser)
