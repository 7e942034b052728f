"""A bench's result as a file, with what it takes to read it later: when, by which command, on what."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import typer
from pydantic import BaseModel, ConfigDict

from ..terminal import print_result
from ..versions import versions
from .result_file import ResultFile

Keep = Annotated[
    Path | None, typer.Option("--keep", help="File that also keeps the result, for fedcgan bench pages.")
]
"""The option of a bench whose result can be kept."""


class Machine(BaseModel):
    """Where it was measured; load: 1-minute average, if it was noted."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    system: str
    kind: str
    processors: int
    load: float | None


class Kept(ResultFile):
    """One result.

    bench: its name on the command line; measured: day in UTC; command: as given, files by their names alone
    data: what ``--json`` prints
    """

    what: ClassVar[str] = "kept result"
    kind: Literal["bench"] = "bench"
    version: Literal[1] = 1
    bench: str
    measured: str
    command: str
    machine: Machine
    versions: dict[str, str]
    data: dict[str, Any]

    @property
    def about(self) -> dict[str, Any]:
        """All but the figures."""
        return self.model_dump(mode="json", exclude={"kind", "version", "data"})

    @property
    def source(self) -> dict[str, str]:
        """The same in words, as pages say it."""
        machine = self.machine
        load = "" if machine.load is None else f", load {machine.load:g}"
        return {
            "command": self.command,
            "measured": self.measured,
            "machine": place(machine.system, machine.kind, machine.processors) + load,
            "versions": ", ".join(f"{name} {version}" for name, version in self.versions.items()),
        }


def place(system: str, kind: str, processors: int) -> str:
    """Where something was measured, in words."""
    return f"{system} on {kind}, {processors} processors"


def tell(
    bench: str, data: dict[str, Any], path: Path | None, as_json: bool, human: Callable[[], None]
) -> None:
    """End a bench: keep its result if there is a ``path``, then print the envelope, or what is for people.

    The envelope has ``about`` beside the figures: day, command, machine, versions. Raises StorageError.
    """
    result = made(bench, data)
    if path is not None:
        result.write(path)
    print_result({**data, "about": result.about}, as_json, human)


def made(bench: str, data: dict[str, Any], command: str | None = None) -> Kept:
    """A result of today on this machine. command: by which it was made, if not by ``fedcgan bench``."""
    machine = Machine(
        system=platform.system(),
        kind=platform.machine(),
        processors=os.cpu_count() or 1,
        load=round(os.getloadavg()[0], 2),
    )
    return Kept(
        bench=bench,
        measured=datetime.now(UTC).date().isoformat(),
        command=command or typed(sys.argv[1:]),
        machine=machine,
        versions=versions(),
        data=data,
    )


def typed(words: list[str]) -> str:
    """The command of these words, with files and folders by their names alone, and without ``--keep``."""
    shown, words = [], list(words)
    while words:
        word = words.pop(0)
        if word == "--keep":
            words = words[1:]
        elif not word.startswith("--keep="):
            shown.append(_named(word))
    return "fedcgan bench " + shlex.join(shown)


def _named(word: str) -> str:
    option, sign, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return option + sign + (Path(value).name if "/" in value else value)
