"""Texts that somebody else chose, as a steward's terminal may show them."""

from common.plain_text import plain, size

__all__ = ["plain", "size"]
