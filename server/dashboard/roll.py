"""Members and rehearsals, read again only where a file has changed: federations have hundreds of sites."""

from __future__ import annotations

import threading
from pathlib import Path

from common.errors import FedcganError

from ..federation import FederationFolder
from ..members import Member
from ..run_folder import RunFolder, Status

_Mark = tuple[str, int, int]


class Roll:
    """Of a federation. Every change of a member or a status is a new file, so that its marks change."""

    def __init__(self, federation: FederationFolder) -> None:
        self._federation = federation
        self._lock = threading.Lock()
        self._marks: list[_Mark] | None = None
        self._members: list[Member] = []
        self._rehearsals: dict[str, tuple[_Mark, Status | FedcganError]] = {}

    def members(self) -> list[Member]:
        """Everybody who was ever invited, by name. Raises FederationError, CryptoError."""
        with self._lock:
            paths = sorted((self._federation.folder / "members").glob("*.json"))
            marks = [_mark(path) for path in paths]
            if marks != self._marks:
                self._members, self._marks = self._federation.members(), marks
            return self._members

    def rehearsal(self, name: str) -> Status | FedcganError | None:
        """How the last one with this site went; None before the first."""
        run = RunFolder(self._federation.folder / "flower" / "rehearsals" / name)
        try:
            mark = _mark(run.folder / "status.json")
        except OSError:
            return None
        with self._lock:
            known = self._rehearsals.get(name)
        if known is not None and known[0] == mark and _is_over(known[1]):
            return known[1]
        found = _status(run)
        with self._lock:
            self._rehearsals[name] = mark, found
        return found


def _mark(path: Path) -> _Mark:
    found = path.stat()
    return path.name, found.st_mtime_ns, found.st_ino


def _status(run: RunFolder) -> Status | FedcganError:
    try:
        return run.status
    except FedcganError as error:
        return error


def _is_over(found: Status | FedcganError) -> bool:
    """One that goes on can be interrupted without a change of its file."""
    return isinstance(found, Status) and found.state in ("finished", "failed", "stopped")
