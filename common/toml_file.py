"""TOML files that people write: read into a pydantic model, with errors that name file and field."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from .errors import FedcganError

_Model = TypeVar("_Model", bound=BaseModel)


def read_model(kind: type[_Model], path: Path, error_kind: type[FedcganError]) -> _Model:
    """The model in the file at ``path``. Raises ``error_kind``."""
    return validated(kind, read_content(path, error_kind), path, error_kind)


def read_content(path: Path, error_kind: type[FedcganError]) -> dict[str, Any]:
    """What the TOML file at ``path`` says, not yet checked. Raises ``error_kind``."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise error_kind(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, nested or long beyond reason
        raise error_kind(f"{path} is not TOML: {error}") from error


def validated(
    kind: type[_Model], content: dict[str, Any], path: Path, error_kind: type[FedcganError]
) -> _Model:
    """The model that ``content``, read from ``path``, describes. Raises ``error_kind``."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise error_kind(f"{path}: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """The first finding of pydantic in one line, with its place."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
