"""The generators that may be played with, each read once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ...errors import SchemaError
from ...sampler.errors import FileError, RequestError
from ...sampler.session import NAME, ArrayFile, TableFile, load
from ...schema import ArraySchema, Schema, TableSchema

Generator = TableFile | ArrayFile
Find = Callable[[], Mapping[str, Path]]
"""Releases by name: a ``generator.onnx``, or a folder that holds one. Nothing else is ever read."""

_KEPT = 4
_MOST_BYTES = 1 << 28


class Shelf:
    """The last generators that were asked for; one that was replaced on disk is read again."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Path, int, int], Generator] = OrderedDict()

    def names(self) -> list[str]:
        """Of all releases there are now, in the order of ``find``."""
        return list(self._find())

    def get(self, name: str) -> Generator:
        """Raises RequestError without a release of that name, FileError without a sound generator in it."""
        path = self._find().get(name)
        if path is None:
            raise RequestError("there is no release of this name", hint="choose one of the list")
        path = path / NAME if path.is_dir() else path
        try:
            state = path.stat()
        except OSError as error:
            raise FileError(f"{NAME} of this release cannot be read", hint="get the release again") from error
        if state.st_size > _MOST_BYTES:
            raise FileError(
                "this generator is too large for the playground", hint="fedcgan sample draws from it"
            )
        key = (path, state.st_mtime_ns, state.st_size)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = _checked(load(path))
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


def _checked(found: Generator) -> Generator:
    """Pages show what the schema says of the records, which the sampler alone does not read."""
    schema: Schema | None = None
    with suppress(SchemaError):
        schema = Schema.from_json(found.schema.encode())
    if isinstance(found, TableFile):
        names = [column.name for column in found.table.columns]
        fits = isinstance(schema, TableSchema) and schema.names == names
    else:
        fits = isinstance(schema, ArraySchema) and schema.shape == found.kind.shape
    if not fits:
        raise FileError(f"{NAME} of this release has no schema of its records", hint="get the release again")
    return found
