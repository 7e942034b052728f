"""The console entry: puts this application's folder first on the path, then runs the command line.

``server``, ``client`` and ``common`` are top-level names only in processes that this function, pytest
or Flower starts. In site-packages they lie under ``fedcgan/``, where nothing can overwrite them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

APPLICATION = Path(__file__).resolve().parents[1]


SIDES = {
    "site": "client.cli",
    "federation": "server.federation_cli",
    "bench": "common.bench.cli",
    "plan": "common.bench.plan",
    "release": "server.release_cli",
}


QUIET_FLOWER = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}
"""Of the environment of every program of Flower's: it calls nobody, and installs nothing."""


def command() -> tuple[str, ...]:
    """The command that starts another process of this program; its arguments follow.

    Isolated from the environment's Python settings and from the folder it is started in.
    """
    start = f"import sys; sys.path.insert(0, {str(APPLICATION)!r}); from common.launch import main; "
    return (sys.executable, "-I", "-c", start + "sys.exit(main())")


def main() -> int:
    """Those of ``SIDES`` by their first word; all else is the coordinator's command line."""
    sys.path.insert(0, str(APPLICATION))
    module = SIDES.get(sys.argv[1] if len(sys.argv) > 1 else "", "server.cli")
    if module != "server.cli":
        del sys.argv[1]
    return int(import_module(module).main())
