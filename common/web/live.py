"""Pages that follow what happens: server-sent events, each a piece of HTML for htmx to put in its place."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from ..errors import FedcganError

Source = Callable[[], Mapping[str, str]]
"""What changed since it was asked last, by name of the event; a fresh one for every request."""

MOST_LIVE = 3
"""Connections of one session. Browsers open six to one address: beside six live pages no other would load."""

EVERY = 1.0  # seconds between two looks
_RETRY = 2000  # milliseconds after which a browser comes back
_SIGN_OF_LIFE = 15.0  # seconds without news
_LINES = re.compile(r"\r\n|\r|\n")


def events(request: Request, source: Source, *, every: float = EVERY) -> StreamingResponse:
    """Ask ``source`` again and again, in a thread, and send what it returns.

    Ends with the session, with the program, or when the browser goes. A page has at most one such connection.
    Of more than ``MOST_LIVE`` the oldest makes room, and comes back after two seconds: so pages take turns.
    It ends, too, when ``source`` raises a FedcganError, which is not logged: it would be, every two seconds.
    What a page shows without it, at its first load, comes from the page.
    """
    return StreamingResponse(_stream(request, source, every), media_type="text/event-stream")


def event(name: str, html: str) -> str:
    """One event as it is sent. Raises ValueError if the name has more than one line."""
    if _LINES.search(name):
        raise ValueError("a name of one line")
    return f"event: {name}\n" + "".join(f"data: {line}\n" for line in _LINES.split(html)) + "\n"


async def _stream(request: Request, source: Source, every: float) -> AsyncIterator[str]:
    session, state, place = request.state.session, request.app.state, object()
    session.live.append(place)
    try:
        yield f"retry: {_RETRY}\n\n"
        quiet = 0.0
        while session.alive and place in session.live[-MOST_LIVE:] and not getattr(state, "closing", False):
            changed = await run_in_threadpool(source)
            if changed:
                yield "".join(event(name, html) for name, html in changed.items())
                quiet = 0.0
            elif quiet >= _SIGN_OF_LIFE:
                yield ": nothing new\n\n"
                quiet = 0.0
            await asyncio.sleep(every)
            quiet += every
    except FedcganError:
        return
    finally:
        session.live.remove(place)
