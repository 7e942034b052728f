"""The parts of a run's page: rendered once for each change, whoever watches; sent only where they differ."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request

from common.events import State
from common.web.application import Web

from . import concerns, curves, journey, lights, samples
from .runs import Run

_CHARS = 8  # of a digest

_CONTENT: dict[str, Callable[[Run], dict[str, Any]]] = {
    "now": lambda run: {"sentence": journey.sentence(run), "state": run.state, "failure": run.failure},
    "journey": lambda run: {"stands": journey.stands(run)},
    "alarms": lambda run: {"concerns": concerns.concerns(run), "trouble": run.view.trouble[-5:][::-1]},
    "privacy": lambda run: {"view": run.view, "plan": run.plan},
    "sites": lambda run: {"lights": lights.lights(run)},
    "numbers": lambda run: {"view": run.view},
    "charts": lambda run: {"charts": curves.charts(run)},
    "shown": lambda run: {"look": samples.look(run, None), "following": True},
    "steps": lambda run: {"look": samples.look(run, None), "titles": samples.titles(run)},
}

NAMES = tuple(_CONTENT)
"""Of the parts, in the order of the page; each is an event of the live page."""


class Parts:
    """Of one run. Raises StorageError."""

    def __init__(self, web: Web, run: Run) -> None:
        self._web, self._run = web, run
        self._lock = threading.Lock()
        self._version: tuple[int, State] | None = None
        self._parts: dict[str, str] = {}

    def now(self, request: Request) -> Mapping[str, str]:
        """All parts as HTML. None of them holds a token of a session."""
        run = self._run
        run.look()
        with self._lock, run.lock:
            if run.version != self._version:
                self._parts = {name: self._render(request, name) for name in NAMES}
                self._version = run.version
            return dict(self._parts)

    def changes(self, request: Request, seen: str) -> Callable[[], Mapping[str, str]]:
        """What is new since a page that had these digests (``digests``), and from then on."""
        known = dict(zip(NAMES, seen.split("."), strict=False))

        def source() -> Mapping[str, str]:
            parts = self.now(request)
            new = {name: digest(html) for name, html in parts.items()}
            changed = {name: parts[name] for name in NAMES if known.get(name) != new[name]}
            known.update(new)
            return changed

        return source

    def _render(self, request: Request, name: str) -> str:
        return self._web.render(request, f"part-{name}.html.j2", run=self._run, **_CONTENT[name](self._run))


def digests(parts: Mapping[str, str]) -> str:
    """What a page says that it has."""
    return ".".join(digest(parts[name]) for name in NAMES)


def digest(html: str) -> str:
    """Short: a change must show, nobody gains from hiding one."""
    return hashlib.sha256(html.encode()).hexdigest()[:_CHARS]
