"""The site in a folder, for its own steward: nobody else acts there, not even root."""

from __future__ import annotations

import os
from pathlib import Path

from common.errors import ConfigError

from .site import Site


def site_in(folder: Path) -> Site:
    """The site in a folder that has one, nothing made. Raises ConfigError; also for another user than its
    owner, even root: what root makes there the vault could not change."""
    folder = folder.absolute()
    if not (folder / "policy.toml").exists():
        raise ConfigError(f"there is no site in {folder}", hint="fedcgan site join KIT makes one")
    if (owner := folder.stat().st_uid) != os.geteuid():
        raise ConfigError(
            f"{folder} belongs to user {owner}, whose vault could not change what we make there",
            hint=f"sudo -u '#{owner}' fedcgan site ...",
        )
    return Site(folder)
