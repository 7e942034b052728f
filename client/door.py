"""The vault's door: a Unix socket through which frames come in and answers go out, and nothing else.

Version 1. A caller says GREETING and then one request after the other: the length of a frame (8 bytes,
big-endian) and the frame; the answer has the same form. An empty frame asks for the site's name. A caller
that says anything else, or stops in the middle, is shut out; so is every user but the vault's and the
courier's. One message is in memory at a time, and who asks for ever is slowed down: each message leaves
lines in the site's log and outbox, which must not fill its disk. All are answered by one thread, so that
what a thread keeps from step to step (networks, a memory file) is kept.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from common.errors import OutboxError, StorageError
from common.protocol.messages import LARGEST

if TYPE_CHECKING:  # a supervisor needs no vault in its own memory
    from .vault import Vault

GREETING = b"fedcgan vault 1\n"
SOCKET = "vault.sock"
_LENGTH = struct.Struct(">Q")
_CREDENTIALS = struct.Struct("3i")
_CALLERS = 8  # at once; the rest wait at the door
_PATIENCE = 60.0  # seconds in which a message must have come in, or an answer gone out
_PIECE = 1 << 20
_PACE = 0.25  # seconds that lie between two messages in the long run
_AT_ONCE = 100  # messages that need not wait


class Door:
    """Serves one vault. Raises StorageError if another process serves the same site."""

    def __init__(self, vault: Vault, folder: Path, users: frozenset[int]) -> None:
        """folder: where the socket is made, mode 0660; users: who may come in, by number."""
        self._vault = vault
        self._path = folder / SOCKET
        self._users = users
        self._one_message = threading.Lock()
        self._asked: SimpleQueue[tuple[bytes, Future[bytes]]] = SimpleQueue()
        self._room = threading.Semaphore(_CALLERS)
        self._due = float("-inf")

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
            threading.Thread(target=self._handle, daemon=True).start()
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
        """One message. Whether there was one. Raises OutboxError: then nothing may leave."""
        caller.settimeout(_PATIENCE)
        head = caller.recv(1)
        if not head:
            return False
        (length,) = _LENGTH.unpack(head + _read(caller, _LENGTH.size - 1))
        with self._one_message:
            self._pace()
            if length > LARGEST:
                self._vault.site.log.warning("a message of %d bytes was turned away at the door", length)
                return False
            answer: Future[bytes] = Future()
            self._asked.put((_read(caller, length), answer))
            reply = answer.result()
            caller.settimeout(_PATIENCE)  # of the whole answer, in sendall
            caller.sendall(_LENGTH.pack(len(reply)))
            caller.sendall(reply)
        return True

    def _handle(self) -> None:
        while True:
            raw, answer = self._asked.get()
            try:
                answer.set_result(self._reply(raw))
            except BaseException as error:
                answer.set_exception(error)
            del raw, answer  # else they would lie here beside the next one

    def _reply(self, raw: bytes) -> bytes:
        try:
            return self._vault.handle(raw) if raw else self._vault.name()
        except OSError as error:
            raise OutboxError(f"the disk: {error.strerror or type(error).__name__}") from error

    def _pace(self) -> None:
        """Wait until the next message is due."""
        now = time.monotonic()
        self._due = max(self._due + _PACE, now - _AT_ONCE * _PACE)
        time.sleep(max(0.0, self._due - now))


def listens(folder: Path) -> bool:
    """Whether somebody listens at the socket in the courier's ``folder``. Says nothing to it.

    The lock of ``alone`` would tell, too, but a vault that starts meanwhile would find it taken.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        try:
            caller.connect(str(folder / SOCKET))
        except BlockingIOError:  # many wait before us
            return True
        except OSError:
            return False
        return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only vault of the site in ``folder``. Raises StorageError."""
    # root looks, too, before it starts the vault of another user, who then must be able to
    descriptor = os.open(folder / ".vault.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        owner = folder.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(f"another vault serves {folder}", hint="stop it first") from error
        yield
    finally:
        os.close(descriptor)


def _read(caller: socket.socket, length: int) -> bytes:
    """Exactly so many bytes in ``_PATIENCE`` seconds; memory grows only as they come.

    Raises EOFError, TimeoutError.
    """
    parts, deadline = bytearray(), time.monotonic() + _PATIENCE
    while len(parts) < length:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        caller.settimeout(left)
        part = caller.recv(min(_PIECE, length - len(parts)))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
