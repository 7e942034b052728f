"""Texts that somebody else chose, as a terminal may show them."""

from __future__ import annotations


def plain(text: str) -> str:
    """The text in one line: no escape sequences, line breaks or marks that turn the writing direction.

    Otherwise a plan could overwrite what a steward reads about it, and a refusal what a coordinator reads.
    """
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def size(count: float) -> str:
    """Bytes for people: ``245 kB``."""
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
