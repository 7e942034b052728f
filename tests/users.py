"""Several users of one machine, for tests: who runs what, and with which capabilities."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.launch import command

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has two users")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach: pytest's own are root's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def acting_as(user: str) -> Iterator[None]:
    """This process as another user, for as long as it takes. user: UID:GID, with the same number twice."""
    number, groups = int(user.partition(":")[0]), os.getgroups()
    os.setgroups([])
    os.setegid(number)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def with_capabilities(names: Sequence[str], words: Sequence[object]) -> list[str]:
    """The command line ``fedcgan WORDS`` as root with these capabilities and no others, as in a container."""
    program = shutil.which("setpriv")
    if program is None:
        pytest.skip("no setpriv: apt-get install util-linux")
    bounds = ",".join(["-all", *(f"+{name.lower()}" for name in names)])
    return [program, f"--bounding-set={bounds}", *command(), *map(str, words)]
