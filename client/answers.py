"""What a site answered in a run, kept so that it says the same again, and opens one sum of a step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgpack

from common.crypto.parameters import MOST_OPENINGS
from common.crypto.secret_file import read_secret, write_secret
from common.errors import AlreadyOpenedError, ReplayError, StorageError
from common.protocol import frames
from common.protocol.messages import Open


class Answers:
    """What a site answered in a run: one answer a step, the same bytes whenever it is asked again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "answers"

    def recall(self, kind: str, step: str, request: bytes) -> bytes | None:
        """The stored answer to this very request; None if the step is new.

        Raises ReplayError if the step was answered for a different request.
        """
        path = self._path(kind, step)
        if not path.exists():
            return None
        digest, reply = self._read(path)
        if digest != hashlib.sha256(request).digest():
            raise ReplayError(
                f"step {step!r} ({kind}) was already answered for another request",
                hint="a step is answered once; the coordinator must retry under a new step",
            )
        return reply

    def seal(self, kind: str, step: str) -> bytes | None:
        """Header and signature of our answer to a step, if there was one."""
        path = self._path(kind, step)
        if not path.exists():
            return None
        reply = self._read(path)[1]
        return frames.read(reply, len(reply)).seal

    def every(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """All stored answers of a kind: (step, reply). Raises StorageError for a damaged one."""
        for path in sorted(self._folder.glob(f"*.{kind}")):
            yield path.stem, self._read(path)[1]

    def exists(self, kind: str, step: str) -> bool:
        """Whether a step was answered."""
        return self._path(kind, step).exists()

    def open_once(self, step: str, content: bytes) -> None:
        """Bind a step to the one sum that we open of it, before we do. Raises AlreadyOpenedError."""
        path, digest = self._folder / f"{step}.opened", hashlib.sha256(content).digest()
        if not path.exists():
            write_secret(path, digest)
        elif read_secret(path) != digest:
            raise AlreadyOpenedError(
                f"step {step!r} was already opened for another sum", hint="a step has one sum; retry anew"
            )
        elif len(list(self._folder.glob(f"{step}.{Open.kind}-*[0-9]"))) >= MOST_OPENINGS:
            raise AlreadyOpenedError(
                f"step {step!r} was opened with {MOST_OPENINGS} sets of key-holders",
                hint="smudging hides no more of them",
            )

    def opened(self, step: str) -> bool:
        """Whether we opened a sum of this step."""
        return (self._folder / f"{step}.opened").exists()

    def keep(self, kind: str, step: str, request: bytes, reply: bytes) -> None:
        """Store an answer durably, before it is sent."""
        content = msgpack.packb((hashlib.sha256(request).digest(), reply))
        write_secret(self._path(kind, step), content)

    @staticmethod
    def _read(path: Path) -> tuple[bytes, bytes]:
        try:
            digest, reply = frames.unpack(read_secret(path), containers=1, entries=2)
            if not (isinstance(digest, bytes) and isinstance(reply, bytes)):
                raise TypeError
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise StorageError(
                f"the stored answer {path.name} is damaged",
                hint="start a new run; a backup would bring back an old ledger",
            ) from error
        return digest, reply

    def _path(self, kind: str, step: str) -> Path:
        return self._folder / f"{step}.{kind}"
