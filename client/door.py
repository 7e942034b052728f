"""The vault's door: a Unix socket through which frames come in and answers go out, and nothing else.

Version 1. A caller says GREETING and then one request after the other: the length of a frame (8 bytes,
big-endian) and the frame; the answer has the same form. An empty frame asks for the site's name. A caller
that says anything else, or stops in the middle, is shut out; so is every user but the vault's and the
courier's. One message is in memory at a time.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import OutboxError, StorageError
from common.protocol.messages import LARGEST

from .vault import Vault

GREETING = b"fedcgan vault 1\n"
SOCKET = "vault.sock"
_LENGTH = struct.Struct(">Q")
_CREDENTIALS = struct.Struct("3i")
_CALLERS = 8  # at once; the rest wait at the door
_PATIENCE = 60.0  # seconds in which a message must have come in, or an answer gone out
_PIECE = 1 << 20


class Door:
    """Serves one vault. Raises StorageError if another process serves the same site."""

    def __init__(self, vault: Vault, folder: Path, users: frozenset[int]) -> None:
        """folder: where the socket is made, mode 0660; users: who may come in, by number."""
        self._vault = vault
        self._path = folder / SOCKET
        self._users = users
        self._one_message = threading.Lock()
        self._room = threading.Semaphore(_CALLERS)

    def serve(self) -> None:
        """Until the process ends."""
        with alone(self._vault.site.folder), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            self._path.unlink(missing_ok=True)
            before = os.umask(0o117)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(before)
            listener.listen(_CALLERS)
            self._vault.site.log.info("the vault is open at %s", self._path)
            while True:
                self._room.acquire()
                caller, _ = listener.accept()
                threading.Thread(target=self._meet, args=(caller,), daemon=True).start()

    def _meet(self, caller: socket.socket) -> None:
        log = self._vault.site.log
        try:
            with caller:
                raw = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                user = _CREDENTIALS.unpack(raw)[1]
                if user not in self._users:
                    log.warning("user %d was turned away at the door", user)
                    return
                caller.settimeout(_PATIENCE)
                if _read(caller, len(GREETING)) == GREETING:
                    while self._answer(caller):
                        pass
        except (OSError, EOFError):  # gone: what it wanted is kept and said again when it asks again
            return
        except OutboxError as error:
            log.error("nothing leaves: %s", error.message)
        finally:
            self._room.release()

    def _answer(self, caller: socket.socket) -> bool:
        """One message. Whether there was one."""
        head = caller.recv(1)
        if not head:
            return False
        (length,) = _LENGTH.unpack(head + _read(caller, _LENGTH.size - 1))
        if length > LARGEST:
            self._vault.site.log.warning("a message of %d bytes was turned away at the door", length)
            return False
        with self._one_message:
            raw = _read(caller, length)
            reply = self._vault.handle(raw) if raw else self._vault.name()
        caller.sendall(_LENGTH.pack(len(reply)))
        caller.sendall(reply)
        return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only vault of the site in ``folder``. Raises StorageError."""
    with open(folder / ".vault.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(f"another vault serves {folder}", hint="stop it first") from error
        yield


def _read(caller: socket.socket, length: int) -> bytes:
    """Exactly so many bytes; memory grows only as they come. Raises EOFError, TimeoutError."""
    parts = bytearray()
    while len(parts) < length:
        part = caller.recv(min(_PIECE, length - len(parts)))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
