"""A run's status as ``fedcgan status`` prints it."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text

from common.run_words import SITES, STYLES, span

from .run_folder import Status


def table(status: Status) -> Group:
    """The run and its sites."""
    sites = Table(box=None, pad_edge=False)
    for heading in ("site", "state", "since"):
        sites.add_column(heading)
    for name, site in status.sites.items():
        state = Text(SITES[site.state], style=STYLES[site.state])
        sites.add_row(name, state, _ago(site.since))
    return Group(Text(_line(status)), sites)


def _line(status: Status) -> str:
    progress = f"{status.phase} {status.done}/{status.total}" if status.total else status.phase
    eta = "" if status.eta_seconds is None else f", about {span(status.eta_seconds)} more in this phase"
    failure = f"; {status.failure.code}: {status.failure.message}" if status.failure else ""
    return (
        f"{status.run} ({status.plan[:12]})  {status.state}  {progress}  "
        f"epsilon {status.epsilon:.3f} of {status.target:g}{eta}{failure}"
    )


def _ago(since: datetime) -> str:
    return span((datetime.now(UTC) - since).total_seconds()) + " ago"
