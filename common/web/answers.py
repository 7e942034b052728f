"""Answers that are no page of ours: go there, keep this file, look at this released document."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.responses import FileResponse, RedirectResponse, Response

from .headers import DOCUMENT_POLICY

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def see_other(url: str) -> Response:
    """After an action: the page that shows what became of it. url: a path of ours."""
    if not url.startswith("/") or url.startswith(("//", "/\\")):
        raise ValueError("a page of this dashboard")
    return RedirectResponse(url, status_code=303)


def download(content: bytes | Path, name: str, media_type: str = "application/octet-stream") -> Response:
    """A file that the browser keeps instead of showing it. content: bytes, or a file read in parts."""
    headers = {"Content-Disposition": f'attachment; filename="{file_name(name)}"'}
    if isinstance(content, Path):
        return FileResponse(content, media_type=media_type, headers=headers)
    return Response(content, media_type=media_type, headers=headers)


def document(content: bytes) -> Response:
    """A released page, such as the evidence page, as it is: with its own style, without any script."""
    headers = {"Content-Security-Policy": DOCUMENT_POLICY}
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)


def file_name(name: str) -> str:
    """A name that every file system takes: letters, digits, dots, hyphens and underscores."""
    return _UNSAFE.sub("-", name).strip("-.")[:100] or "file"
