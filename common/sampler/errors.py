"""What can go wrong when somebody samples: a stable code, what happened, what to do, an exit code."""

from __future__ import annotations

from typing import ClassVar


class SamplerError(Exception):
    """Base of all typed errors of this package; codes are those of the main program."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RequestError(SamplerError):
    """Options that contradict each other, or the generator."""

    code = "config"
    exit_code = 2


class UnknownValueError(RequestError):
    """A condition on a column, or on a value of it, that the schema does not have."""

    code = "unknown-condition"


class ImpossibleError(RequestError):
    """Conditions that no record can satisfy, or so few that not enough were drawn."""

    code = "impossible-condition"


class PackageError(RequestError):
    """A format whose optional package is not installed."""

    code = "missing-package"


class FileError(SamplerError):
    """A generator that is damaged or foreign, or an output that cannot be written."""

    code = "storage"
    exit_code = 6
