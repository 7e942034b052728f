"""Runs for Prometheus: one page, ``/metrics``, on 127.0.0.1 only."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from common.errors import ConfigError, FedcganError
from common.events import State
from common.run_view import RunView
from common.terminal import say
from common.trackers.prometheus import CONTENT_TYPE, metrics_text

from .run_folder import RunFolder
from .watching import Watching, found

HOST = "127.0.0.1"


class Exposed:
    """All runs of a federation's folder, or the one of a run's folder or of OUT.

    Raises ConfigError if there are none to look for.
    """

    def __init__(self, folder: Path) -> None:
        self._runs: dict[Path, Watching] = {}
        self._folder = folder
        if not (folder / "federation.toml").exists():
            run = found(str(folder), folder)
            self._runs[run.folder] = Watching(run)
        self._one_at_a_time = Lock()

    def text(self) -> str:
        """The metrics as they are now. Raises StorageError."""
        with self._one_at_a_time:
            self._find()
            views: dict[str, RunView] = {}
            states: dict[str, State] = {}
            for run in self._runs.values():
                run.look()
                views[run.plan.hash], states[run.plan.hash] = run.view, run.state
            return metrics_text(views, states)

    def _find(self) -> None:
        """Runs that were begun since."""
        for path in sorted((self._folder / "runs").glob("*/plan.json")):
            run = RunFolder(path.parent)
            if run.deployed and path.parent not in self._runs:
                self._runs[path.parent] = Watching(run)


def serve(text: Callable[[], str], port: int, started: Callable[[int], object]) -> None:
    """Answer GET /metrics until Ctrl-C. started: told the port, which is a free one if 0 was asked for.

    Public facts need no password: who may connect to this machine's loopback may read them. A page elsewhere
    that a browser was led to may not: the Host header has to name this server. Raises ConfigError if the port
    is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        """One question."""

        server_version, sys_version = "fedcgan", ""

        def do_GET(self) -> None:
            """The metrics, or why not."""
            if self.headers.get("Host") not in {
                f"{host}:{server.server_port}" for host in (HOST, "localhost")
            }:
                self._answer(421, "text/plain; charset=utf-8", "ask 127.0.0.1\n")
            elif self.path.partition("?")[0] != "/metrics":
                self._answer(404, "text/plain; charset=utf-8", "/metrics\n")
            else:
                try:
                    self._answer(200, CONTENT_TYPE, text())
                except FedcganError as error:
                    self._answer(500, "text/plain; charset=utf-8", f"{error.code}: {error.message}\n")

        def _answer(self, status: int, kind: str, body: str) -> None:
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: it is asked every few seconds."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise ConfigError(
            f"port {port} cannot be used: {error.strerror}", hint="--port with another"
        ) from error
    with server:
        started(server.server_port)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("no longer served")
