"""The files of a release: weights and noisy sums as safetensors, everything else as JSON. No pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save as save_tensors
from torch import nn

from .durable import write_whole
from .errors import MalformedMessageError, SchemaError, SchemaVersionError, StorageError

WEIGHTS, DESCRIPTION, SUMS = "generator.safetensors", "generator.json", "sums.safetensors"
PRIOR_NOISE = "prior_noise"
"""Fact: standard deviation of the noise in the count of a combination of conditions, in units."""

_WEIGHTS_LIMIT, _DESCRIPTION_LIMIT, _SUMS_LIMIT = 1 << 30, 1 << 24, 1 << 32  # bytes

_Release = TypeVar("_Release")

_DAMAGE = (
    MalformedMessageError,
    SchemaError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    SafetensorError,
)


class _OtherFormatError(ValueError):
    """A generator of another version; ``load`` knows where it lies."""


def save(folder: Path, generator: nn.Module, description: dict[str, Any]) -> None:
    """Write weights and description, each whole or not at all. Raises StorageError.

    description: has ``format``; the weights' hash is added
    """
    weights = save_tensors(
        {name: value.contiguous() for name, value in generator.state_dict().items()},
        metadata={"format": description["format"]},
    )
    content = {"weights_sha256": hashlib.sha256(weights).hexdigest(), **description}
    text = json.dumps(content, indent=2)
    write_whole(folder / WEIGHTS, lambda path: path.write_bytes(weights))
    write_whole(folder / DESCRIPTION, lambda path: path.write_text(text, "utf-8"))


def load(folder: Path, build: Callable[[dict[str, Any], bytes], _Release]) -> _Release:
    """What ``build(description, weights)`` makes of a release.

    Raises StorageError if it is absent, damaged or of another version, SchemaVersionError.
    """
    try:
        description = json.loads(_read(folder / DESCRIPTION, _DESCRIPTION_LIMIT))
        weights = _read(folder / WEIGHTS, _WEIGHTS_LIMIT)
        if hashlib.sha256(weights).hexdigest() != description.pop("weights_sha256"):
            raise StorageError(f"{folder / WEIGHTS} is not the file that was released")
        return build(description, weights)
    except _OtherFormatError as error:
        raise StorageError(
            f"the generator in {folder} is {error}",
            hint="use the version of the program that made it, or its generator.onnx",
        ) from error
    except FileNotFoundError as error:
        raise StorageError(
            f"there is no released generator in {folder}",
            hint="fedcgan demo makes one in demo-release/",
        ) from error
    except SchemaVersionError:
        raise
    except OSError as error:
        raise StorageError(f"the generator in {folder} cannot be read: {error.strerror}") from error
    except _DAMAGE as error:
        raise StorageError(f"the generator in {folder} is damaged", hint="get the release again") from error


def save_sums(folder: Path, sums: bytes) -> None:
    """Write the noisy sums that the generator was fitted to, whole or not at all. Raises StorageError."""
    write_whole(folder / SUMS, lambda path: path.write_bytes(sums))


def load_sums(folder: Path, expected: str) -> bytes:
    """The released sums. Raises StorageError if absent, or not those with the SHA-256 ``expected``."""
    try:
        sums = _read(folder / SUMS, _SUMS_LIMIT)
    except OSError as error:
        raise StorageError(
            f"the noisy sums {folder / SUMS} cannot be read: {error.strerror}", hint="get the release again"
        ) from error
    if hashlib.sha256(sums).hexdigest() != expected:
        raise StorageError(f"{folder / SUMS} is not the file that was released", hint="get the release again")
    return sums


def check_format(description: dict[str, Any], expected: str) -> None:
    """Take the format out of a description. Raises a ValueError on another one, which ``load`` names."""
    found = str(description.pop("format"))
    if found != expected:
        raise _OtherFormatError(f"of another version, {found[:64]!r}; this one reads {expected!r}")


def _read(path: Path, limit: int) -> bytes:
    if path.stat().st_size > limit:
        raise StorageError(f"{path} has more than {limit} bytes")
    return path.read_bytes()
