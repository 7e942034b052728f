"""One encoding of every statement that is signed: the JSON Canonicalization Scheme (RFC 8785)."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import rfc8785
from pydantic import BaseModel, ValidationError

from ..errors import FedcganError
from ..toml_file import first_problem

_Model = TypeVar("_Model", bound=BaseModel)


def canonical(content: Any) -> bytes:
    """The canonical form of JSON-ready content. Raises ValueError for what JSON has no number for."""
    return rfc8785.dumps(content)


def encoded(model: BaseModel) -> bytes:
    """The canonical form of a statement."""
    return canonical(model.model_dump(mode="json"))


def decoded(kind: type[_Model], raw: bytes, name: str, error_kind: type[FedcganError]) -> _Model:
    """The statement in ``raw``, which must be in canonical form: no byte can change unnoticed.

    name: of the file, for the message. Raises ``error_kind``.
    """
    try:
        model = kind.model_validate_json(raw)
        if encoded(model) != raw:
            raise ValueError("it is not in canonical form (RFC 8785)")
    except ValidationError as error:
        raise error_kind(f"{name}: {first_problem(error)}", hint=_HINT) from error
    except (ValueError, RecursionError) as error:
        raise error_kind(f"{name}: {error}", hint=_HINT) from error
    return model


def digest(raw: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


_HINT = "it was altered, or comes from another version of fedcgan; get the bundle again"
