"""Flower's side of a federation: SuperLink on loopback, the edge before it, and who asks it.

SuperLink 1.41 serves everything on one port, and whoever reaches that port starts runs. So it listens on
127.0.0.1 alone, in process isolation, where ServerApps are started by a SuperExec that knows a secret; sites
reach it through an edge that lets nothing pass but a SuperNode's calls.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from common.address import host_and_port, is_loopback
from common.durable import write_whole
from common.errors import SuperLinkError
from common.launch import APPLICATION, QUIET_FLOWER
from common.supervision import Program

from . import edge
from .federation import FederationFolder

_HERE = "here"  # the name of the connection to our own SuperLink
_PATIENCE = 120.0  # seconds for one call of the command line
_REFUSED = 10.0  # seconds in which a port of this machine is open, or refused
_COURIER, _COORDINATOR = "fedcgan_courier", "fedcgan_coordinator"
_APP = f"""[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "fedcgan"
version = "1.0.0"

[tool.flwr.app]
publisher = "fedcgan"
fab-include = ["*.py"]

[tool.flwr.app.components]
serverapp = "{_COORDINATOR}:app"
clientapp = "{_COURIER}:app"

[tool.flwr.app.config]
run-dir = ""
"""
_START = '''"""The coordinator: the program installed here, none of which is sent to a site."""

import sys

from fedcgan.common.launch import APPLICATION

sys.path.insert(0, str(APPLICATION))

from server.app import app  # noqa: E402

__all__ = ["app"]
'''


class SuperLink:
    """The SuperLink of a federation."""

    def __init__(self, federation: FederationFolder) -> None:
        self._federation = federation
        self._flower = federation.folder.absolute() / "flower"

    def programs(self) -> list[Program]:
        """What to keep running. Raises ConfigError where nginx is needed and missing."""
        settings = self._federation.settings
        link = f"127.0.0.1:{settings.link_port}"
        folder = self._federation.folder.absolute()
        secret = str(self._federation.superexec_secret.absolute())
        superlink = (
            *(self._program("flower-superlink"), "--host", "127.0.0.1", "--port", str(settings.link_port)),
            *("--ssl-ca-certfile", str(folder / "ca" / "ca.crt")),
            *("--ssl-certfile", str(folder / "tls" / "server.crt")),
            *("--ssl-keyfile", str(folder / "tls" / "server.key")),
            *("--enable-supernode-auth", "--disable-runtime-dependency-installation"),
            *("--isolation", "process", "--superexec-auth-secret-file", secret),
            *("--database", str(self._flower / "state.db")),
        )
        superexec = (
            *(self._program("flower-superexec"), "--runtime-api-address", link),
            *("--root-certificates", str(folder / "ca" / "ca.crt")),
            *("--superexec-auth-secret-file", secret),
        )
        return [
            self._kept("superlink", superlink),
            self._kept("superexec", superexec, needs=self._flower / "state.db"),
            *([self._edge()] if settings.edge == "nginx" else []),
        ]

    def prepare(self) -> None:
        """Write what the programs and the command line read."""
        home = self._flower / "home"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = self._federation.folder.absolute() / "ca" / "ca.crt"
        text = (
            f'[superlink]\ndefault = "{_HERE}"\n\n[superlink.{_HERE}]\n'
            f'address = "127.0.0.1:{self._federation.settings.link_port}"\n'
            f'root-certificates = "{authority}"\n'
        )
        write_whole(home / "config.toml", lambda path: path.write_text(text, "utf-8"))
        app = self._flower / "fedcgan"
        shutil.rmtree(app, ignore_errors=True)
        app.mkdir(mode=0o700)
        (app / "pyproject.toml").write_text(_APP, "utf-8")
        (app / f"{_COORDINATOR}.py").write_text(_START, "utf-8")
        shutil.copyfile(APPLICATION / "client" / "courier.py", app / f"{_COURIER}.py")

    def start_run(self, folder: Path) -> int:
        """Start a ServerApp for the run in ``folder``. Returns Flower's number. Raises SuperLinkError."""
        app = str(self._flower / "fedcgan")
        setting = f'run-dir="{folder.absolute()}"'
        return int(self._ask("run", app, _HERE, "-c", setting)["run-id"])

    def stop_run(self, number: int) -> None:
        """Stop it. Raises SuperLinkError."""
        self._ask("stop", str(number), _HERE)

    def online(self) -> dict[int, str]:
        """Since when each SuperNode that is online is so, by its number. Raises SuperLinkError."""
        return {
            int(node["node-id"]): node["online-at"] for node in self._nodes() if node["status"] == "online"
        }

    def registered(self) -> set[int]:
        """Numbers of the nodes that were let in. Raises SuperLinkError."""
        return {int(node["node-id"]) for node in self._nodes() if node["status"] != "unregistered"}

    def register(self, name: str, node_key: str) -> int:
        """Let the SuperNode with this key in. Returns its number.

        node_key: OpenSSH line. Raises SuperLinkError.
        """
        path = self._flower / f"{name}.pub"
        path.write_text(node_key + "\n", "ascii")
        return int(self._ask("supernode", "register", str(path), _HERE, "--name", name)["node-id"])

    def unregister(self, number: int) -> None:
        """Shut a SuperNode out. Raises SuperLinkError."""
        self._ask("supernode", "unregister", str(number), _HERE)

    def _nodes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("supernode", "list", _HERE)["nodes"]
        return found

    def _ask(self, *arguments: str) -> dict[str, Any]:
        """One call of Flower's command line; its JSON."""
        try:
            # where nobody listens, Flower's command line names some other cause
            socket.create_connection(("127.0.0.1", self._federation.settings.link_port), _REFUSED).close()
            done = subprocess.run(  # noqa: S603 (no shell)
                [self._program("flwr"), *arguments, "--format", "json"],
                env=self._environment(),
                cwd=self._flower,
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
            answer: dict[str, Any] = json.loads(done.stdout)
        except (ValueError, OSError, subprocess.TimeoutExpired) as error:
            raise SuperLinkError(
                "SuperLink does not answer", hint="is it running? fedcgan federation start"
            ) from error
        if not answer.get("success", done.returncode == 0):
            raise SuperLinkError(
                f"SuperLink refused '{' '.join(arguments[:2])}': {answer.get('error-message', '')}".strip(),
                hint=f"logs: {self._flower}",
            )
        return answer

    def _edge(self) -> Program:
        settings, folder = self._federation.settings, self._federation.folder.absolute()
        here = self._flower / "edge"
        here.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = edge.configuration(
            host="127.0.0.1" if is_loopback(settings.host) else "0.0.0.0",  # noqa: S104 (sites connect to it)
            port=host_and_port(settings.address)[1],
            link_port=settings.link_port,
            certificate=folder / "tls" / "server.crt",
            key=folder / "tls" / "server.key",
            ca=folder / "ca" / "ca.crt",
            folder=here,
            user=pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None,
        )
        config = here / "nginx.conf"
        config.write_text(text, "utf-8")
        return self._kept("edge", tuple(edge.command(config)))

    def _kept(self, name: str, command: tuple[str, ...], needs: Path | None = None) -> Program:
        return Program(
            name=name,
            command=command,
            environment=self._environment(),
            folder=self._flower,
            log=self._flower / f"{name}.log",
            needs=needs,
        )

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        kept = {name: os.environ[name] for name in ("LANG", "OMP_NUM_THREADS") if name in os.environ}
        return {
            "OMP_NUM_THREADS": "1",
            **kept,
            **QUIET_FLOWER,
            "PATH": path,
            "HOME": str(self._flower),
            "FLWR_HOME": str(self._flower / "home"),
        }

    @staticmethod
    def _program(name: str) -> str:
        return str(Path(sys.executable).parent / name)
