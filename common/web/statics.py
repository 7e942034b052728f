"""Style sheets, scripts and pictures: read once, served from memory, named by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from .guard import STATIC

FOLDER = Path(__file__).parent / "static"
"""Ours; a dashboard may bring another."""

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    type: str
    version: str


class Statics:
    """Every file of some folders, under one name each; nothing else can be asked for."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._files = {path.name: _read(path) for folder in folders for path in sorted(folder.iterdir())}

    def address(self, name: str) -> str:
        """Where a page finds the file: a browser keeps it until its content is another. Raises KeyError."""
        return f"{STATIC}{name}?v={self._files[name].version}"

    def answer(self, request: Request) -> Response:
        """The file of the path's last part. Raises HTTPException (404)."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        kept = _FOR_EVER if request.query_params.get("v") == file.version else "no-cache"
        return Response(file.content, media_type=file.type, headers={"Cache-Control": kept})


def _read(path: Path) -> _File:
    content = path.read_bytes()
    return _File(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:16])
