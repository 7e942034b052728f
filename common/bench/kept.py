"""A bench's result as a file, with what it takes to read it later: when, by which command, on what."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from ..durable import write_whole
from ..errors import ConfigError
from ..toml_file import first_problem
from ..versions import versions

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


class Kept(BaseModel):
    """One result.

    bench: its name on the command line; measured: day in UTC; command: as given, files by their names alone
    data: what ``--json`` prints
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: Literal["bench"] = "bench"
    version: Literal[1] = 1
    bench: str
    measured: str
    command: str
    machine: Machine
    versions: dict[str, str]
    data: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file. Raises ConfigError if it is none of these."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ConfigError(f"{path.name} is no kept result: {first_problem(error)}") from error


def keep(bench: str, data: dict[str, Any], path: Path | None, command: str | None = None) -> None:
    """Write the result of ``bench`` to ``path``, whole, if there is one. Raises StorageError.

    command: by which it was made, if not by ``fedcgan bench``
    """
    if path is None:
        return
    machine = Machine(
        system=platform.system(),
        kind=platform.machine(),
        processors=os.cpu_count() or 1,
        load=round(os.getloadavg()[0], 2),
    )
    result = Kept(
        bench=bench,
        measured=datetime.now(UTC).date().isoformat(),
        command=command or typed(sys.argv[1:]),
        machine=machine,
        versions=versions(),
        data=data,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    text = result.model_dump_json(indent=1) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, "utf-8"))


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
