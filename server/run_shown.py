"""How a run that goes on is shown: a picture that changes, plain lines, JSON lines, or not at all."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live

from common.events import RunEvent
from common.terminal import messages

from .run_lines import Lines
from .run_picture import Picture
from .watching import Watching


def terminal(console: Console) -> bool:
    """Whether a picture can be drawn again and again."""
    return console.is_terminal and not console.is_dumb_terminal


class Shown:
    """To people, on standard error: a picture on a terminal, and else lines. The last picture stays."""

    def __init__(self, console: Console = messages) -> None:
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._lines: Lines | None = None
        self._picture: Picture | None = None
        self._terminal = terminal(console)

    def __enter__(self) -> Self:
        if self._terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, run: Watching, new: list[RunEvent]) -> None:
        """Show it as it is now."""
        if self._terminal:
            self._picture = self._picture or Picture(run)
            self._live.update(self._picture, refresh=True)
        elif self._lines is None:
            self._lines = Lines(run.plan.privacy.epsilon)
            self._lines.caught_up(run.view, run.state)
        else:
            self._lines.show(run.view, new)


class Streamed:
    """To programs, on standard output: every event in a line of its own, as it lies in the log."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout

    def __call__(self, run: Watching, new: list[RunEvent]) -> None:
        """Write what is new; if nobody was left to write how the run ended, that too."""
        events = list(new)
        ending = run.ending()
        if ending is not None and ending is not run.view.ending:
            events.append(ending)
        for event in events:
            self._out.write(event.model_dump_json() + "\n")
        self._out.flush()


def unseen(_run: Watching, _new: list[RunEvent]) -> None:
    """Shows nothing."""
