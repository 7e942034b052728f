"""A command's run as it goes, on standard error: its picture, or plain lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from common.events import Began, Listener, RunEvent, Stage, listening
from common.run_view import RunView
from common.run_words import PHASES
from common.terminal import messages

from .run_lines import Lines
from .run_picture import Picture
from .run_shown import terminal
from .watching import Watching, found

_A_SECOND = 2


def shown(
    target: float, quiet: bool, folder: Path | None = None, console: Console = messages
) -> AbstractContextManager[None]:
    """Show the events of the block. target: epsilon; folder: of the run, if it is one, and not its release"""
    if quiet:
        return nullcontext()
    if not terminal(console):
        return listening(_lines(target))
    return _stages(console) if folder is None else _pictured(folder, console)


def _lines(target: float) -> Listener:
    view, lines = RunView(), Lines(target)

    def told(event: RunEvent) -> None:
        view.take(event)
        lines.show(view, [event])

    return told


@contextmanager
def _stages(console: Console) -> Iterator[None]:
    """One line that says what is done now."""
    with console.status("") as status:

        def told(event: RunEvent) -> None:
            if isinstance(event, Stage):
                status.update(f"{event.phase} {event.done}/{event.total}  [dim]{PHASES[event.phase]}")

        with listening(told):
            yield


@contextmanager
def _pictured(folder: Path, console: Console) -> Iterator[None]:
    going = _Going(folder)
    live = Live(going, console=console, refresh_per_second=_A_SECOND, vertical_overflow="crop")
    with live, listening(going.told):
        yield


class _Going:
    """A run that this process conducts: its log is read whenever it is drawn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._watching: Watching | None = None
        self._picture: Picture | None = None
        self._now = Text("prepare  " + PHASES["prepare"], "dim")

    def told(self, event: RunEvent) -> None:
        """Once it has begun it can be watched, and not before: an earlier run's log may lie there."""
        if isinstance(event, Began):
            self._watching = Watching(found(str(self._folder), Path()))
            self._picture = Picture(self._watching)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._watching is None or self._picture is None:
            yield self._now
        else:
            self._watching.look()
            yield self._picture
