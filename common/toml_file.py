"""TOML files that people write: read into a pydantic model, with errors that name file and field."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from .errors import FedcganError

_Model = TypeVar("_Model", bound=BaseModel)

_HINTS = {
    "missing": "add it to {where}",
    "extra_forbidden": "there is no such key: look how it is spelled, or remove it",
    "string_pattern_mismatch": "in [brackets]: characters that are allowed; in {{braces}}: how many",
}


def read_model(kind: type[_Model], path: Path, error_kind: type[FedcganError]) -> _Model:
    """The model in the file at ``path``. Raises ``error_kind``."""
    return validated(kind, read_content(path, error_kind), path, error_kind)


def read_content(path: Path, error_kind: type[FedcganError], limit: int | None = None) -> dict[str, Any]:
    """What the TOML file at ``path`` says, not yet checked. limit: bytes. Raises ``error_kind``."""
    try:
        if limit is not None and path.stat().st_size > limit:
            raise error_kind(f"{path} has more than {limit} bytes", hint="is it the right file?")
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise error_kind(
            f"{path} cannot be read: {error.strerror}", hint="is it the right file, and may you read it?"
        ) from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, nested or long beyond reason
        raise error_kind(
            f"{path} is not TOML: {error}", hint='a line is a [section], or key = value; texts in "quotes"'
        ) from error


def validated(
    kind: type[_Model],
    content: dict[str, Any],
    path: Path,
    error_kind: type[FedcganError],
    where: str = "the file",
) -> _Model:
    """The model that ``content``, read from ``path``, describes. Raises ``error_kind``.

    where: what a person corrects it in
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise error_kind(f"{path}: {first_problem(error)}", hint=first_hint(error, where)) from error


def first_problem(error: ValidationError) -> str:
    """The first finding of pydantic in one line, with its place."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_pattern_mismatch":
        said = f"not of the form {first['ctx']['pattern']}"
    return f"{place}: {said}" if place else said


def first_field(error: ValidationError) -> str:
    """The field, or section, that the first finding is about; empty if it is about several."""
    return str((*error.errors()[0]["loc"], "")[0])


def first_hint(error: ValidationError, where: str = "the file") -> str:
    """What a person can do about the first finding, in the file, or the form, that it is about."""
    first = error.errors()[0]
    if (hint := _HINTS.get(first["type"])) is not None:
        return hint.format(where=where)
    counted = any(isinstance(part, int) for part in first["loc"])
    return f"correct it in {where}" + ("; of several entries, 0 is the first" if counted else "")
