"""How a run looks on a terminal: one picture that changes, or plain lines where there is no terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from common.terminal import messages

from .run_folder import Status

_STYLES = {
    "ready": "green",
    "busy": "cyan",
    "late": "yellow",
    "pending": "yellow",
    "gone": "red",
    "refused": "red",
    "paused": "yellow",
    "withdrawn": "red",
    "unknown": "dim",
}
_WORDS = {
    "ready": "ready",
    "busy": "busy",
    "late": "late: it did not answer in time, and is asked again in the next step",
    "pending": "its data steward has not approved the plan yet",
    "gone": "not connected; it takes part again as soon as it is",
    "refused": "its data steward refused the plan",
    "paused": "paused by its data steward; it may come back",
    "withdrawn": "has left the federation for good; the run goes on while enough sites are left",
    "unknown": "not seen yet",
}


def table(status: Status) -> Group:
    """The run and its sites."""
    sites = Table(box=None, pad_edge=False)
    for heading in ("site", "state", "since"):
        sites.add_column(heading)
    for name, site in status.sites.items():
        state = Text(_WORDS[site.state], style=_STYLES[site.state])
        sites.add_row(name, state, _ago(site.since))
    return Group(Text(_line(status)), sites)


def _line(status: Status) -> str:
    progress = f"{status.phase} {status.done}/{status.total}" if status.total else status.phase
    eta = "" if status.eta_seconds is None else f", about {_span(status.eta_seconds)} more in this phase"
    failure = f"; {status.failure.code}: {status.failure.message}" if status.failure else ""
    return (
        f"{status.run} ({status.plan[:12]})  {status.state}  {progress}  "
        f"epsilon {status.epsilon:.3f} of {status.target:g}{eta}{failure}"
    )


def _ago(since: datetime) -> str:
    return _span((datetime.now(UTC) - since).total_seconds()) + " ago"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Shown:
    """A status, shown again and again until ``close``."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._said = ""
        self._live = Live(console=messages, auto_refresh=False, transient=True)
        if messages.is_terminal and not quiet:
            self._live.start()

    def show(self, status: Status) -> None:
        """Replace the picture; without a terminal, a line when something changed."""
        if self._quiet:
            return
        if messages.is_terminal:
            self._live.update(table(status), refresh=True)
            return
        sites = ", ".join(f"{name} {site.state}" for name, site in status.sites.items())
        stage = f"{status.state} {status.phase} {status.done}/{status.total}; {sites}"
        if stage != self._said:
            self._said = stage
            messages.print(f"{status.epsilon:.3f}  {stage}", highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()
