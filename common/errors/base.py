"""What all typed errors have in common, and those of configurations and files."""

from __future__ import annotations

from typing import ClassVar


class FedcganError(Exception):
    """Base of all typed errors.

    code: stable, for programs; hint: what the person can do; exit_code: of the command line.
    Messages name rows, columns and public numbers, never a value of a record.
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def told(self) -> str:
        """The code that people and programs are told; of a refusal, the site's own."""
        return self.code


class ConfigError(FedcganError):
    """A configuration, plan or command line that cannot be run."""

    code = "config"
    exit_code = 2


class UsageError(ConfigError):
    """A command line that is not one of ours."""

    code = "usage"


class SchemaError(FedcganError):
    """A schema that contradicts itself."""

    code = "schema"
    exit_code = 2


class SchemaVersionError(SchemaError):
    """A schema of another version of this program."""

    code = "schema-version"


class UnknownConditionError(ConfigError):
    """A condition or a value of it that the generator was not trained with."""

    code = "unknown-condition"


class ImpossibleConditionError(ConfigError):
    """Conditions that no record can satisfy, or so few that none was drawn."""

    code = "impossible-condition"


class MissingPackageError(ConfigError):
    """A format or a tracker whose optional package is not installed."""

    code = "missing-package"


class StorageError(FedcganError):
    """A file cannot be written or read."""

    code = "storage"
    exit_code = 6


class InterruptedRunError(FedcganError):
    """The person stopped the run; what was finished is kept."""

    code = "interrupted"
    exit_code = 130


class ExportError(FedcganError):
    """A generator that cannot be written as ONNX, or whose ONNX form differs; nothing is written."""

    code = "onnx-export"
    exit_code = 6
