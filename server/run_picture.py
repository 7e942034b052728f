"""A run as a picture in a terminal of 80 columns and 24 lines, or more: what does not fit is left out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from textwrap import wrap
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from common.errors import FedcganError
from common.plain_text import plain, size
from common.run_view import PhaseView, RunView
from common.run_words import PHASES, SHORT, SITES, STYLES, balance, latest, span, tally, warnings
from common.schema import ImageSchema, Schema

from .thumbnails import preview
from .watching import OPEN, Watching

_WIDE = 110  # columns from which states are sentences
_LEFT = 42  # columns of the phases
_LEAST_SAMPLE = 4  # lines, heading included, of which something can be seen
_STATES = {"finished": "green", "failed": "red", "stopped": "yellow", "interrupted": "red"}


class Block(NamedTuple):
    """A part of the picture. least: lines without which it is left out; draw: for so many lines"""

    least: int
    most: int
    draw: Callable[[int], RenderableType | None]


class Picture:
    """A run that looks as it is whenever it is drawn. clock: UTC"""

    def __init__(self, run: Watching, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._run, self._view, self._clock, self._now = run, run.view, clock, clock()
        self._schema = _schema(run)
        self._preview: tuple[tuple[Path, int, int], RenderableType | None] | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self._now = self._clock()
        width, room = options.max_width, console.size.height - 1
        for block, lines in self._shared(width, room, console.color_system is not None):
            drawn = block.draw(lines)
            if drawn is None:
                continue
            rows = console.render_lines(drawn, options.update(width=width, height=None), pad=False)
            for row in rows[:lines]:
                yield from row
                yield Segment.line()

    def _shared(self, width: int, room: int, colours: bool) -> list[tuple[Block, int]]:
        """The lines of every block that is there, in the order in which they are drawn."""
        head, ending = self._head(width), self._ending(width)
        warned, body, facts = self._warnings(width), self._body(width), self._facts(width)
        sample = self._sample(width, colours)
        given: dict[int, int] = {}
        for block in (head, ending, warned, body, facts, sample):  # the most important first
            lines = min(block.most, room)
            if lines >= block.least and lines > 0:
                given[id(block)] = lines
                room -= lines
        order = (head, ending, body, facts, warned, sample)
        return [(block, given[id(block)]) for block in order if id(block) in given]

    def _head(self, width: int) -> Block:
        run, began = self._run, self._view.began
        title = Text(no_wrap=True, overflow="ellipsis")
        title.append(plain(run.plan.run), "bold")
        title.append(f"  {run.plan.hash[:12]}", "dim")
        title.append(f"  {run.state}", _STATES.get(run.state, "cyan"))
        if began is not None and self._view.started is not None:
            until = self._now if run.state in OPEN else self._view.updated or self._now
            title.append(f"  {span((until - self._view.started).total_seconds())}")
            title.append(f"  {began.modality}, {began.schedule}, {len(began.sites)} sites", "dim")
        target, spent = run.plan.privacy.epsilon, self._view.epsilon
        words = f"epsilon {spent:.3f} of {target:g}"
        rest = f"  delta {run.plan.privacy.delta:g}, {run.plan.privacy.unit}"
        bar = ProgressBar(total=target, completed=spent, width=width // 5, complete_style="cyan")
        line = Table.grid(padding=(0, 1))
        for column in (1, width // 5, width - width // 5 - 3):
            line.add_column(no_wrap=True, overflow="ellipsis", width=column)
        line.add_row(Text("ε", "bold cyan"), bar, Text.assemble(words, (rest, "dim")))
        return Block(2, 3, lambda lines: Group(title, line, *[""] * (lines - 2)))

    def _ending(self, width: int) -> Block:
        ended = self._run.ending()
        if ended is None or ended.state == "finished":
            return Block(0, 0, lambda _: None)
        parts = [("bold red", f"{ended.state}  {plain(ended.code)}"), ("", plain(ended.message))]
        if ended.hint:
            parts.append(("green", f"hint   {plain(ended.hint)}"))
        lines = [Text(line, style) for style, text in parts for line in wrap(text, width)]
        return Block(1, len(lines) + 1, lambda n: Group(*lines[: max(1, n - 1)], ""))

    def _body(self, width: int) -> Block:
        phases, sites = self._phases(), self._view.sites
        wanted = max(len(phases), len(sites))

        def draw(lines: int) -> RenderableType:
            left = Table.grid(padding=(0, 1))
            for _ in range(4):
                left.add_column(no_wrap=True)
            for row in _squeezed(phases, lines):
                left.add_row(*row)
            both = Table.grid(expand=False)
            both.add_column(width=_LEFT)
            both.add_column(width=width - _LEFT)
            both.add_row(left, self._lights(width, lines))
            return both

        return Block(3, wanted, draw)

    def _phases(self) -> list[tuple[Text, ...]]:
        known, expected = latest(self._view), self._run.phases
        names = [*expected, *(name for name in known if name not in expected)]
        return [self._phase(name, known.get(name)) for name in names]

    def _phase(self, name: str, phase: PhaseView | None) -> tuple[Text, ...]:
        if phase is None:
            return Text("·", "dim"), Text(name, "dim"), Text(), Text()
        until = phase.ended
        if until is not None and not self._broke_off(phase):
            return Text("✓", "green"), Text(name), Text(_took(phase, until), "dim"), Text()
        going = self._run.state in OPEN
        mark = Text("▶", "cyan") if going else Text("✗", "red")
        done = Text()
        if phase.total > 1:
            full = round(8 * phase.done / phase.total)
            done = Text.assemble(
                ("━" * full, "cyan"), ("━" * (8 - full), "dim"), f" {phase.done}/{phase.total}"
            )
        left = self._view.eta_seconds
        time = _took(phase, self._now) if left is None else f"~{span(left)} left"
        return mark, Text(name, "bold"), done, Text(time if going else "")

    def _broke_off(self, phase: PhaseView) -> bool:
        """Whether the run ended in the middle of it."""
        last = phase is self._view.phase and phase.done < phase.total
        return last and self._run.state not in (*OPEN, "finished")

    def _lights(self, width: int, lines: int) -> Table:
        """A site a line; of too many those that need somebody first."""
        slow, sites = set(self._view.stragglers), self._view.sites
        names = list(sites)
        if len(names) > lines:
            worst = list(SITES)
            names.sort(key=lambda name: (worst.index(sites[name].state), name not in slow))
            names, rest = names[: lines - 1], names[lines - 1 :]
        else:
            rest = []
        words = SITES if width >= _WIDE else SHORT
        table = Table.grid(padding=(0, 1))
        for limit in (1, 20):
            table.add_column(no_wrap=True, max_width=limit, overflow="ellipsis")
        table.add_column(no_wrap=True, overflow="ellipsis")
        for name in names:
            state, since = sites[name].state, sites[name].since
            text = words[state]
            if state not in ("ready", "unknown"):
                text += f", {span((self._now - since).total_seconds())}"
            text += ", slow" if name in slow and state != "late" else ""
            text += f", missed {sites[name].missed}" if sites[name].missed else ""
            table.add_row(Text("●", STYLES[state]), plain(name), text)
        if rest:
            table.add_row("", f"{len(rest)} more", tally(self._view, rest))
        return table

    def _facts(self, width: int) -> Block:
        rows = _facts(self._view)
        phase = self._view.phase
        if phase is not None and not phase.ended and self._run.state in OPEN:
            rows.insert(0, ("now", PHASES.get(phase.name, "")))
        table = Table.grid(padding=(0, 1))
        table.add_column(width=8, style="dim")
        table.add_column(no_wrap=True, overflow="ellipsis", width=width - 9)
        for name, text in rows:
            table.add_row(name, text)
        return Block(2, len(rows) + 1 if rows else 0, lambda _: Group("", table))

    def _warnings(self, width: int) -> Block:
        lines = [
            Text(("! " if first else "  ") + line, "yellow")
            for text in warnings(self._view)
            for first, line in [(at == 0, line) for at, line in enumerate(wrap(plain(text), width - 2))]
        ]
        return Block(1, min(6, len(lines)) + 1 if lines else 0, lambda n: Group("", *lines[: n - 1]))

    def _sample(self, width: int, colours: bool) -> Block:
        path, looks = self._run.samples(), [look for look in self._view.looks if look.samples]
        if path is None or self._schema is None or (isinstance(self._schema, ImageSchema) and not colours):
            return Block(0, 0, lambda _: None)
        schema, step = self._schema, looks[-1].step

        def draw(lines: int) -> RenderableType | None:
            key = path, width, lines
            if self._preview is None or self._preview[0] != key:
                self._preview = key, preview(path, schema, width, lines - 2)
            shown = self._preview[1]
            heading = Text(f"sample of step {step}, synthetic", "dim")
            return None if shown is None else Group("", heading, shown)

        return Block(_LEAST_SAMPLE + 1, 20, draw)


def _schema(run: Watching) -> Schema | None:
    try:
        return run.run.schema
    except (FedcganError, OSError):
        return None


def _took(phase: PhaseView, until: datetime) -> str:
    return span((until - phase.began).total_seconds())


def _squeezed(rows: list[tuple[Text, ...]], lines: int) -> list[tuple[Text, ...]]:
    """So many rows around the one that goes on: the first ones go, then the last ones."""
    if len(rows) <= lines:
        return rows
    current = next((at for at, row in enumerate(rows) if row[0].plain in "▶✗"), 0)
    first = max(0, min(current - 1, len(rows) - lines))
    return rows[first : first + lines]


def _facts(view: RunView) -> list[tuple[str, str]]:
    """A name and a sentence each, of what is known."""
    rows: list[tuple[str, str]] = []
    train, steps = latest(view).get("train"), view.began.steps if view.began else 0
    if steps:
        rows.append(("rounds", f"{train.done if train else 0} of {steps}"))
    if view.last_sum is not None:
        took = median(value for _, value in view.curves["seconds"].points)
        last = view.last_sum
        parts = f"last {last.step}: {last.contributors} sites, {last.seconds:.3g} s"
        rows.append(("sums", f"{view.sums}, {took:.3g} s each; {parts}"))
        each = f"a sum {size(view.up / view.sums)} and {size(view.down / view.sums)}"
        rows.append(("bytes", f"{size(view.up)} from all sites, {size(view.down)} to them; {each}"))
    if text := balance(view):
        rows.append(("D and G", text))
    if loss := view.curves.get("fit_loss"):
        first = f", {loss.points[0][1]:.4g} at first" if len(loss.points) > 1 else ""
        rows.append(("fit", f"loss {loss.last:.4g}{first}"))
    if slow := view.stragglers:
        rows.append(("slow", f"{', '.join(map(plain, slow))}: everybody waits for them"))
    if view.trouble:
        last_trouble = view.trouble[-1]
        where = f"{plain(last_trouble.site)} in step {plain(last_trouble.step)}: {plain(last_trouble.code)}"
        rows.append(("trouble", f"{where}, at {last_trouble.time:%H:%M} UTC"))
    return rows
