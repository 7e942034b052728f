"""Which of SuperLink's nodes is whose: its own lists name no keys."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from common.durable import write_whole
from common.errors import StorageError

_Numbers = TypeAdapter(dict[str, int])


class Nodes:
    """Numbers of registered nodes by their public keys (OpenSSH lines), in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def number(self, node_key: str) -> int | None:
        """SuperLink's number of the node with this key, None if it was not registered."""
        return self._read().get(node_key)

    def all(self) -> dict[str, int]:
        """Of all nodes that were registered, by their keys."""
        return self._read()

    def keep(self, node_key: str, number: int) -> None:
        """A node was registered."""
        self._write({**self._read(), node_key: number})

    def drop(self, node_key: str) -> None:
        """A node was taken out."""
        self._write({key: number for key, number in self._read().items() if key != node_key})

    def _read(self) -> dict[str, int]:
        try:
            return _Numbers.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise StorageError(f"{self._path} is damaged", hint="restore it from a backup") from error

    def _write(self, numbers: dict[str, int]) -> None:
        write_whole(self._path, lambda path: path.write_bytes(_Numbers.dump_json(numbers)))
