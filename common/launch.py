"""The console entry: puts this application's folder first on the path, then runs the command line.

``server``, ``client`` and ``common`` are top-level names only in processes that this function, pytest
or Flower starts. In site-packages they lie under ``fedcgan/``, where nothing can overwrite them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

APPLICATION = Path(__file__).resolve().parents[1]


SIDES = {"site": "client.cli", "bench": "common.bench.cli", "plan": "common.bench.plan"}


def main() -> int:
    """``fedcgan site``, ``bench``, ``plan``; everything else is the coordinator's command line."""
    sys.path.insert(0, str(APPLICATION))
    module = SIDES.get(sys.argv[1] if len(sys.argv) > 1 else "", "server.cli")
    if module != "server.cli":
        del sys.argv[1]
    return int(import_module(module).main())
