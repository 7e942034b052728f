"""The console entry: puts this application's folder first on the path, then runs the command line.

``server``, ``client`` and ``common`` are top-level names only in processes that this function, pytest
or Flower starts. In site-packages they lie under ``fedcgan/``, where nothing can overwrite them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

APPLICATION = Path(__file__).resolve().parents[1]


def main() -> int:
    """``fedcgan site ...`` is the site's command line, everything else the coordinator's."""
    sys.path.insert(0, str(APPLICATION))
    side = "client" if sys.argv[1:2] == ["site"] else "server"
    if side == "client":
        del sys.argv[1]
    return int(import_module(f"{side}.cli").main())
