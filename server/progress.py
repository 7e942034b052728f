"""A run as it goes: phase, round, time left, epsilon so far. Plain lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from common.events import RunEvent, Stage, listening
from common.run_view import RunView
from common.run_words import PHASES
from common.terminal import messages

from .run_lines import Lines


@contextmanager
def shown(target: float, quiet: bool) -> Iterator[None]:
    """Show the events of the block on standard error."""
    if quiet:
        yield
    elif messages.is_terminal:
        with _bars(target) as listener, listening(listener):
            yield
    else:
        view, lines = RunView(), Lines(target)

        def told(event: RunEvent) -> None:
            view.take(event)
            lines.show(view, [event])

        with listening(told):
            yield


@contextmanager
def _bars(target: float) -> Iterator[_Bars]:
    progress = Progress(
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("[bold]{task.fields[phase]:8}"),
        BarColumn(bar_width=12),
        TextColumn("{task.completed:>4}/{task.total}"),
        TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("eta"),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True, min_width=5)),
        TextColumn("[cyan]ε {task.fields[epsilon]:.3f}[/]/" + f"{target:g}"),
        TextColumn("[dim]{task.description}", table_column=Column(no_wrap=True, ratio=1)),
        console=messages,
    )
    with progress:
        yield _Bars(progress)


class _Bars:
    """One bar a phase."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: RunEvent) -> None:
        if not isinstance(event, Stage):
            return
        if event.phase not in self._tasks:
            self._finish_earlier()
            self._tasks[event.phase] = self._progress.add_task(
                PHASES[event.phase], total=event.total, phase=event.phase, epsilon=event.epsilon
            )
        task = self._tasks[event.phase]
        self._progress.update(task, completed=event.done, total=event.total, epsilon=event.epsilon)

    def _finish_earlier(self) -> None:
        for task in self._progress.tasks:
            self._progress.update(task.id, completed=task.total)
