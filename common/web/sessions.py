"""Who may see the pages: a one-time link opens a session, which lives in memory only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

HOURS = 12
"""After so long a session ends; it ends with the process, too."""

_BYTES = 32  # of every secret here


def _secret() -> str:
    return secrets.token_urlsafe(_BYTES)


def same(one: str, other: str) -> bool:
    """Compare two texts in a time that tells nothing of where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


@dataclass(slots=True, eq=False)
class Session:
    """A browser that came in. csrf: what every form of its pages carries; ends: by ``clock``, in seconds

    live: its open connections of ``live.events``, oldest first
    """

    csrf: str = field(repr=False)
    ends: float
    clock: Callable[[], float]
    left: bool = False
    live: list[object] = field(default_factory=list, repr=False)

    @property
    def alive(self) -> bool:
        """Whether it still counts."""
        return not self.left and self.clock() < self.ends


class Sessions:
    """One unused link at a time, and the sessions that used ones have opened.

    announce: told of every fresh token, so that a person can open another browser
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.announce: Callable[[str], None] = _nobody
        self._clock = clock
        self._lock = threading.Lock()
        self._token = _secret()
        self._open: dict[bytes, Session] = {}

    @property
    def token(self) -> str:
        """That of the link which is not used yet."""
        return self._token

    def enter(self, token: str) -> tuple[str, Session] | None:
        """Use the link: the new session and the secret of its cookie. None unless it is the unused one."""
        with self._lock:
            if not same(token, self._token):
                return None
            self._token = _secret()
            self._open = {key: one for key, one in self._open.items() if one.alive}
            secret, session = _secret(), Session(_secret(), self._clock() + HOURS * 3600, self._clock)
            self._open[_key(secret)] = session
        self.announce(self._token)
        return secret, session

    def find(self, secret: str) -> Session | None:
        """The session that a cookie belongs to, while it is alive."""
        found = self._open.get(_key(secret))
        return found if found is not None and found.alive else None

    def leave(self, secret: str) -> None:
        """End it now, also where a live page still holds it."""
        with self._lock:
            session = self._open.pop(_key(secret), None)
        if session is not None:
            session.left = True


def _nobody(token: str) -> None:
    """Until somebody wants to know."""


def _key(secret: str) -> bytes:
    """Sessions are found by a digest: how long a look-up takes says nothing of the secret."""
    return hashlib.sha256(secret.encode()).digest()
