"""On 127.0.0.1 and nowhere else: the address is no option. The link that opens it works once."""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from html import escape
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import ConfigError
from .application import Web
from .door import link
from .neighbours import stranger

HOST = "127.0.0.1"
_PATIENCE = 3  # seconds for answers under way when the program ends


class _Connection(H11Protocol):
    """HTTP by h11, which bounds what comes before the body; not with other users of this machine."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Before anything is read."""
        super().connection_made(transport)
        theirs, ours = (transport.get_extra_info(f"{end}name") for end in ("peer", "sock"))
        user = stranger(theirs, ours) if theirs and ours else None  # no end: gone already
        if user is not None:
            transport.abort()
            _tell_of(user)


@cache
def _tell_of(user: int) -> None:
    """Once for each, since they can come as often as they like."""
    sys.stderr.write(f"Closed a connection of another user of this machine (user id {user}).\n")


class _Server(uvicorn.Server):
    """Tells live pages that it ends, so that none of them keeps it."""

    def __init__(self, web: Web) -> None:
        super().__init__(
            uvicorn.Config(
                web.app,
                access_log=False,  # its lines would hold tokens
                http=_Connection,
                lifespan="off",
                log_level="error",  # anybody on this machine can make it warn
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_PATIENCE,
                ws="none",
            )
        )
        self._state = web.app.state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Also on SIGTERM."""
        self.end()
        super().handle_exit(sig, frame)

    def end(self) -> None:
        """Answer nothing new."""
        self._state.closing = True
        self.should_exit = True


def serve(web: Web, open_browser: bool = False) -> None:
    """Answer until Ctrl-C. Shows the link on standard output, and a fresh one when it was used.

    Raises ConfigError if the port is taken.
    """
    opened = listening(web.port)
    _say(f"{web.title}: {link(web.port, web.sessions.token)}")
    _say("The link opens one browser, once. It answers on this machine only; Ctrl-C ends it.")
    web.sessions.announce = lambda token: _say(f"Opened. For another browser: {link(web.port, token)}")
    with opened, tempfile.TemporaryDirectory(prefix="fedcgan-") as folder:
        if open_browser:
            _open(web, Path(folder))
        with suppress(KeyboardInterrupt):
            _Server(web).run(sockets=[opened])
        _say("Ended.")


def listening(port: int) -> socket.socket:
    """A socket on this machine alone; port 0 for any that is free. Raises ConfigError if it is taken."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((HOST, port))
        opened.listen()
    except OSError as error:
        opened.close()
        raise ConfigError(
            f"port {port} cannot be used: {error.strerror}",
            hint="another program has it, perhaps another dashboard; choose one with --port",
        ) from error
    return opened


@contextmanager
def in_background(web: Web, opened: socket.socket) -> Iterator[str]:
    """Answer on a socket of ``listening`` while the block runs; its address, without the link's token."""
    server = _Server(web)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://{HOST}:{web.port}"
    finally:
        server.end()
        thread.join()
        opened.close()


def _open(web: Web, folder: Path) -> None:
    """Through a file that only we can read: the command line of a browser is for all users to see."""
    page = folder / "open.html"
    page.touch(0o600)
    address = escape(link(web.port, web.sessions.token))
    page.write_text(
        f'<!DOCTYPE html><meta http-equiv="refresh" content="0;url={address}"><title>…</title>', "utf-8"
    )
    webbrowser.open(page.as_uri())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
