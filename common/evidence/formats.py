"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Any

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 3) -> str:
    """A dash for none; enough digits to tell figures apart, no more."""
    if value is None:
        return DASH
    if value == 0 or abs(value) >= 0.5 * 10.0**-digits:
        return f"{value:,.{digits if abs(value) < 100 else 1}f}".replace("-", MINUS)
    return f"{value:.1e}".replace("-", MINUS)


def percent(value: float | None) -> str:
    """Of a share; small ones with more digits."""
    if value is None:
        return DASH
    points = 100 * value
    if points in (0, 1, 100):
        return f"{points:.0f} %"
    return f"{points:.1f} %" if points >= 1 else f"{points:.2g} %"


def bound(value: float | None) -> str:
    """Of a share that nothing exceeds: never rounded down."""
    if value is None:
        return DASH
    digits = 1 if value >= 0.01 else 2
    return f"{min(100.0, math.ceil(100 * value * 10**digits - 1e-9) / 10**digits):.{digits}f} %"


def count(value: int) -> str:
    """With separators."""
    return f"{value:,}"


def size(value: int) -> str:
    """Bytes in the largest unit that leaves a number above 1."""
    amount, unit = float(value), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"


def span(value: float | None) -> str:
    """Seconds as hours, minutes and seconds."""
    if value is None:
        return DASH
    if value < 100:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def interval(one: dict[str, Any]) -> str:
    """The 95 % interval of a figure, nothing if there is none."""
    if one["low"] is None or one["high"] is None:
        return ""
    return f"{number(one['low'])} to {number(one['high'])}"


def track(one: dict[str, Any], mark: float | None) -> dict[str, float | None] | None:
    """Where value, interval and a mark lie on a line, in percent of its length; None without a value."""
    known = [one[key] for key in ("value", "low", "high") if one[key] is not None]
    if one["value"] is None:
        return None
    ends = [0.0, *known, *([] if mark is None else [mark])]
    low, high = min(ends), max(ends)
    scale = 92 / max(high - low, 1e-9)

    def place(value: float | None) -> float | None:
        return None if value is None else round(4 + (value - low) * scale, 1)

    return {
        "value": place(one["value"]),
        "low": place(one["low"]),
        "high": place(one["high"]),
        "mark": place(mark),
        "zero": place(0.0),
    }
