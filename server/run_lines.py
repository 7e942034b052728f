"""A run as plain lines, where there is no terminal: one when something is worth it, a handful a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from common.events import Began, Failed, Looked, RunEvent, SiteStands, Stage, State, Summed, Turned
from common.plain_text import plain, size
from common.run_view import RunView
from common.run_words import PHASES, SITES, span, tally, warnings
from common.terminal import say

_A_SECOND = 5
_QUIET = ("ready", "busy")
"""States of a site that follow each other in every step."""


class Lines:
    """target: epsilon that is planned for; clock: seconds that only grow"""

    def __init__(
        self,
        target: float,
        write: Callable[[str], None] = say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target, self._write, self._clock = target, write, clock
        self._tenth: tuple[str, int] | None = None
        self._stands: dict[str, str] = {}
        self._sites: dict[str, str] = {}
        self._warned: list[str] = []
        self._times: list[float] = []

    def caught_up(self, view: RunView, state: State) -> None:
        """What went before, in a line, and how the sites stand."""
        if view.began is None:
            self._write(f"{state}; nothing has happened yet")
            return
        phase = view.phase
        stage = f"{phase.name} {phase.done}/{phase.total}; " if phase else ""
        self._tenth = (phase.name, _tenth(phase.done, phase.total)) if phase else None
        self._stands = {name: site.state for name, site in view.sites.items()}
        spent = self._epsilon(view.epsilon)
        self._write(f"{view.began.run}  {state}; {stage}{spent}; {view.sums} sums; {tally(view)}")
        self._warned = warnings(view)
        for text in self._warned:
            self._write(f"alarm    {plain(text)}")

    def show(self, view: RunView, new: list[RunEvent]) -> None:
        """Lines for what is new, which ``view`` has taken in already."""
        sums: list[Summed] = []
        for event in new:
            match event:
                case Stage():
                    if self._tenth != (event.phase, _tenth(event.done, event.total)):
                        self._sums(sums)  # in their order
                    self._stage(view, event)
                case Summed():
                    sums.append(event)
                case SiteStands():
                    self._sites[event.site] = event.state
                case Looked() if warnings(view) != self._warned:
                    self._warned = warnings(view)
                    for text in self._warned:
                        self._write(f"alarm    after {event.step}: {plain(text)}")
                case Began() | Turned() | Failed():
                    self._always(event)
        self._sums(sums)
        self._changed()

    def _sums(self, sums: list[Summed]) -> None:
        """All of them in one line."""
        if sums and self._may():
            self._write(_summed(sums))
        sums.clear()

    def _stage(self, view: RunView, event: Stage) -> None:
        tenth = event.phase, _tenth(event.done, event.total)
        if tenth == self._tenth:
            return
        fresh = self._tenth is None or tenth[0] != self._tenth[0]
        if not fresh and not self._may():
            return  # said with the next event
        self._tenth = tenth
        left = view.eta_seconds
        eta = f", about {span(left)} more" if left else ""
        far = f"{event.phase:8} {event.done}/{event.total}  {self._epsilon(event.epsilon)}{eta}"
        self._write(f"{far}  {PHASES.get(event.phase, '')}")

    def _always(self, event: Began | Turned | Failed) -> None:
        match event:
            case Began():
                self._write(f"{event.run}  {event.modality}, {event.schedule}, {len(event.sites)} sites")
            case Turned():
                why = f"  {plain(event.code)}: {plain(event.message)}" if event.code else ""
                self._write(f"{event.state}{why}" + (f"; {plain(event.hint)}" if event.hint else ""))
            case Failed() if self._may():
                self._write(f"trouble  {plain(event.site)} in step {event.step}: {plain(event.code)}")

    def _changed(self) -> None:
        """Sites that now stand differently, if somebody should know."""
        told = {}
        for name, state in self._sites.items():
            before = self._stands.get(name, "unknown")
            if state != before and not (state in _QUIET and before in (*_QUIET, "unknown")):
                told[name] = state
            elif state != before:
                self._stands[name] = state
        if told and not self._may():
            return  # said with the next event
        self._stands |= told
        self._sites.clear()
        for state in SITES:
            if names := [name for name, now in told.items() if now == state]:
                self._write(f"site     {', '.join(map(plain, names))}: {SITES[state]}")

    def _may(self) -> bool:
        """Whether there is room for one more line in this second."""
        now = self._clock()
        self._times = [one for one in self._times if now - one < 1]
        if len(self._times) >= _A_SECOND:
            return False
        self._times.append(now)
        return True

    def _epsilon(self, spent: float) -> str:
        return f"epsilon {spent:.3f} of {self._target:g}"


def _tenth(done: int, total: int) -> int:
    return 10 * done // max(1, total)


def _summed(sums: list[Summed]) -> str:
    last = sums[-1]
    missing = sorted({plain(name) for one in sums for name in one.missing})
    without = f", without {', '.join(missing)}" if missing else ""
    which = f"{len(sums)} sums to {last.step}" if len(sums) > 1 else last.step
    up, down = sum(one.up for one in sums), sum(one.down for one in sums)
    took = f"{sum(one.seconds for one in sums) / len(sums):.3g} s" + (" each" if len(sums) > 1 else "")
    return f"sum      {which}: {last.contributors} sites{without}, {took}, {size(up)} up, {size(down)} down"
