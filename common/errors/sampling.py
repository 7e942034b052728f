"""The sampler's errors as this program's: it stands alone, and so has its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..sampler.errors import (
    FileError,
    ImpossibleError,
    PackageError,
    RequestError,
    SamplerError,
    UnknownValueError,
)
from .base import (
    ConfigError,
    FedcganError,
    ImpossibleConditionError,
    MissingPackageError,
    StorageError,
    UnknownConditionError,
)

_KINDS: dict[type[SamplerError], type[FedcganError]] = {
    FileError: StorageError,
    ImpossibleError: ImpossibleConditionError,
    PackageError: MissingPackageError,
    RequestError: ConfigError,
    UnknownValueError: UnknownConditionError,
}


@contextmanager
def typed() -> Iterator[None]:
    """Raise what the sampler raises inside as a FedcganError with the same code, message and hint."""
    try:
        yield
    except SamplerError as error:
        raise _KINDS[type(error)](error.message, hint=error.hint) from error
