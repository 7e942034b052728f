"""Versions of this program and of what its guarantees stand on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("fedcgan", "flwr", "torch", "opacus", "tenseal", "dp-accounting", "numpy")


def versions() -> dict[str, str]:
    """Name to version; "not installed" where a checkout runs as it is."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
