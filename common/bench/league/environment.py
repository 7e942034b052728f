"""An environment of its own for each peer, made once, in a cache folder: never a dependency of ours."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from ...errors import FedcganError
from ...terminal import say
from .capped import last_words

PEERS = Path(__file__).resolve().parents[1] / "peers"
"""Where the programs and their requirements lie."""

_DONE = "complete"


class PeerEnvironmentError(FedcganError):
    """An environment for a peer of the league could not be made."""

    code = "peer-environment"


def default_cache() -> Path:
    """``fedcgan/peers`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedcgan" / "peers"


def interpreter(requirements: str, cache: Path, python: str) -> Path:
    """The interpreter of an environment with the requirements in that file of ``PEERS``, made if need be.

    python: the interpreter it is made with. Raises PeerEnvironmentError with the installer's last words.
    """
    wanted = (PEERS / requirements).read_bytes()
    digest = hashlib.sha256(wanted + python.encode()).hexdigest()[:12]
    folder = cache / f"{requirements.removesuffix('.txt')}-{digest}"
    program = folder / "bin" / "python"
    if (folder / _DONE).exists():
        return program
    say(f"making the environment of {requirements.removesuffix('.txt')}, once, in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(folder.name + ".log")
    log.write_bytes(b"")
    install = [str(program), "-m", "pip", "install", "-qq", "--requirement", str(PEERS / requirements)]
    for command in ([python, "-m", "venv", "--clear", str(folder)], install):
        if not _succeeds(command, log):
            raise PeerEnvironmentError(
                f"the environment of {requirements} cannot be made: {last_words(log)}",
                hint=f"{log} says more",
            )
    (folder / _DONE).write_text("")
    return program


def _succeeds(command: list[str], log: Path) -> bool:
    with log.open("ab") as output:
        try:
            done = subprocess.run(  # noqa: S603 - an interpreter that the person named
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
            )
        except OSError as error:  # there is no such interpreter
            output.write(f"{command[0]}: {error.strerror}".encode())
            return False
    return done.returncode == 0
