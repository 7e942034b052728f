"""Times as people say them."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def about(seconds: float) -> str:
    """In one unit, roughly: ``8 s``, ``12 min``, ``3 h``, ``5 days``."""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return "under 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * _MINUTE:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} days"


def ago(time: datetime, now: datetime | None = None) -> str:
    """How long since."""
    gone = ((now or datetime.now(UTC)) - time).total_seconds()
    return "just now" if gone < 5 else f"{about(gone)} ago"


def until(time: datetime, now: datetime | None = None) -> str:
    """How long to go, or that it is over."""
    left = (time - (now or datetime.now(UTC))).total_seconds()
    return f"in {about(left)}" if left > 0 else f"ended {about(-left)} ago"


def day(time: datetime | None) -> str:
    """A date, with its hour, UTC."""
    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
