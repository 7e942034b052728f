"""Folders that other users can pass through, for sites whose courier is another user."""

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def open_folder():
    """A new folder in the system's temporary one; root's, as a site's parent must be."""
    folder = Path(tempfile.mkdtemp(prefix="fedcgan-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
