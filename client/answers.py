"""What a site answered in a run, kept so that it says the same again, and opens one sum of a step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgpack

from common.crypto.parameters import MOST_OPENINGS
from common.crypto.secret_file import read_secret, write_secret
from common.errors import AlreadyOpenedError, ReplayError, StorageError
from common.protocol import frames
from common.protocol.messages import Contribute, Open

_SHORT = 256  # bytes of an answer of which only the fact is left


@dataclass(frozen=True, slots=True)
class _Stored:
    """request, digest: SHA-256 of what was asked and of what was answered; reply: the answer, or empty."""

    request: bytes
    digest: bytes
    reply: bytes

    def to_bytes(self, with_reply: bool = True) -> bytes:
        return bytes(msgpack.packb((self.request, self.digest, self.reply if with_reply else b"")))


class Answers:
    """What a site answered in a run: one answer a step, the same bytes whenever it is asked again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "answers"

    def recall(self, kind: str, step: str, request: bytes) -> bytes | None:
        """The stored answer to this very request; None if the step is new.

        Raises ReplayError if the step was answered for a different request, or so long ago that only the
        fact is kept.
        """
        path = self._path(kind, step)
        if not path.exists():
            return None
        stored = self._read(path)
        if stored.request != hashlib.sha256(request).digest() or not stored.reply:
            raise ReplayError(
                f"step {step!r} ({kind}) was already answered"
                + (" for another request" if stored.reply else ""),
                hint="a step is answered once; the coordinator must retry under a new step",
            )
        return stored.reply

    def seal(self, kind: str, step: str) -> bytes | None:
        """Header and signature of our answer to a step, if there was one.

        Raises AlreadyOpenedError if the step is over.
        """
        path = self._path(kind, step)
        if not path.exists():
            return None
        if not (reply := self._read(path).reply):
            raise AlreadyOpenedError(f"step {step!r} is over, a later one was asked for")
        return frames.read(reply, len(reply)).seal

    def every(self, kind: str) -> Iterator[tuple[str, str]]:
        """All answers of a kind: (step, SHA-256 of the reply). Raises StorageError for a damaged one."""
        for path in sorted(self._folder.glob(f"*.{kind}")):
            yield path.stem, self._read(path).digest.hex()

    def shorten(self, current: str) -> None:
        """Of contributions and openings of steps other than ``current``, keep only that they were given.

        The coordinator asks for a new step when it has finished and stored the one before.
        """
        for path in [*self._folder.glob(f"*.{Contribute.kind}"), *self._folder.glob(f"*.{Open.kind}-*[0-9]")]:
            if path.stem != current and path.stat().st_size > _SHORT:
                stored = self._read(path)
                write_secret(path, stored.to_bytes(with_reply=False))

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
        stored = _Stored(hashlib.sha256(request).digest(), hashlib.sha256(reply).digest(), reply)
        write_secret(self._path(kind, step), stored.to_bytes())

    @staticmethod
    def _read(path: Path) -> _Stored:
        try:
            fields = frames.unpack(read_secret(path), containers=1, entries=3)
            if [type(field) for field in fields] != [bytes] * 3:
                raise TypeError
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise StorageError(
                f"the stored answer {path.name} is damaged",
                hint="start a new run; a backup would bring back an old ledger",
            ) from error
        return _Stored(*fields)

    def _path(self, kind: str, step: str) -> Path:
        return self._folder / f"{step}.{kind}"
