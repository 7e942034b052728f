"""``fedcgan site dashboard``: a site's pages, on its own machine, for its own steward."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.terminal import say

from .own_site import site_in

PORT = 8601
"""Where it answers if nothing is said; a coordinator's has another."""


def dashboard(
    folder: Annotated[Path, typer.Argument(help="The site's folder.")],
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Of this machine; nothing else.")] = PORT,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, change nothing.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in this machine's browser.")] = False,
) -> None:
    """Plans, budget, outbox, log, standing: pages in a browser of this machine. Sends nothing anywhere."""
    site_in(folder)  # at once, before what takes long
    say("reading the ledger, the outbox and what happened ...")
    from common.web.serving import serve

    from .dashboard.application import make

    web = make(folder, read_only=read_only, port=port)
    web.app.state.site.warm()
    serve(web, open_browser)
