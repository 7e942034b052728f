"""A result of a bench as a JSON file, written whole and read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from ..durable import write_whole
from ..errors import ConfigError
from ..toml_file import first_problem


class ResultFile(BaseModel):
    """What one file holds. what: that a file is, in words"""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    what: ClassVar[str]

    def write(self, path: Path) -> None:
        """Write the file, whole, and the folder it is in. Raises StorageError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self.model_dump_json(indent=1) + "\n"
        write_whole(path, lambda temporary: temporary.write_text(text, "utf-8"))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file. Raises ConfigError if it is none of these."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ConfigError(f"{path.name} is no {cls.what}: {first_problem(error)}") from error
