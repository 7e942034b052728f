"""Requests that are turned away before a page sees them."""

from __future__ import annotations


class RefusalError(Exception):
    """status: of HTTP; code: short and stable; message and hint: for the person who reads the page."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.hint = status, code, message, hint
