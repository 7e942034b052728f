"""Files that only their owner reads: mode 0600, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..durable import sync_folder
from ..errors import CryptoError


def write_secret(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 durably; it never exists with another mode or half its content."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    for folder in (path.parent, path.parent.parent):  # the run folder itself may be new
        sync_folder(folder)


def read_secret(path: Path) -> bytes:
    """Read a secret file. Raises CryptoError if it is missing or others can read it."""
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError as error:
        raise CryptoError(
            f"there is no {path.name} of this run",
            hint="a message came before those it builds on, or the site's run folder was lost",
        ) from error
    if mode & 0o077:
        raise CryptoError(f"{path.name} can be read by others (mode {mode:o})", hint=f"chmod 600 {path}")
    return path.read_bytes()


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Say CryptoError where the content of a secret file is not what was written."""
    try:
        yield
    except ValueError as error:
        raise CryptoError(
            f"{path.name} is damaged",
            hint="what is in it exists nowhere else: start a new run",
        ) from error
