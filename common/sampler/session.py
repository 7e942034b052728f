"""``generator.onnx``: the network, and what the file says about itself.

Sizes come before contents: a file is read only if it is not too long, its metadata only if they are, and
nothing is drawn unless network and metadata fit each other. What the file says is not signed here; that it is
the released one is for the release's manifest to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .arrays import ArrayKind, read_arrays
from .columns import Codes
from .errors import FileError
from .form import check_form
from .provenance import FACTS
from .table import Table, parse_json, read_table

FORMAT = "fedcgan-onnx-1"
"""Of the metadata; another one is refused."""

NAME = "generator.onnx"
MOST_BYTES, MOST_METADATA = 1 << 30, 1 << 24

_HINT = "get the release again; a generator.onnx of another version needs that version of fedcgan-sample"


@dataclass(frozen=True, slots=True, eq=False)
class TableFile:
    """A generator of tables. facts: name, epsilon, delta, unit, plan, schema_hash; schema: its JSON"""

    session: Any
    table: Table
    facts: dict[str, Any]
    schema: str

    def network(self, latents: NDArray[np.int64], conditions: Codes) -> NDArray[np.float32]:
        """Probabilities of each generated column's groups, float32[M, groups]."""
        with _damage():
            found = self.session.run(["groups"], {"latent": latents, "conditions": conditions})[0]
        return _sound(found, len(latents))


@dataclass(frozen=True, slots=True, eq=False)
class ArrayFile:
    """A generator of images or signals; facts and schema as those of ``TableFile``."""

    session: Any
    kind: ArrayKind
    facts: dict[str, Any]
    schema: str

    def network(self, noise: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Values between -1 and 1, float32[M, channels, ...]."""
        with _damage():
            found = self.session.run(["values"], {"noise": noise, "label": labels})[0]
        return _sound(found, len(labels))


def load(path: Path) -> TableFile | ArrayFile:
    """Read a generator. path: the file, or a folder that holds ``generator.onnx``.

    Raises FileError if it is absent, too long, damaged, foreign or of another version.
    """
    path = path / NAME if path.is_dir() else path
    try:
        if path.stat().st_size > MOST_BYTES:
            raise FileError(f"{path} has more than {MOST_BYTES} bytes", hint=_HINT)
        raw = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}", hint=f"a {NAME} of a release") from error
    return parse(raw)


def parse(raw: bytes) -> TableFile | ArrayFile:
    """The same of a file's content."""
    with _damage():
        check_form(raw)
        session = _session(raw)
        metadata = session.get_modelmeta().custom_metadata_map
        if metadata.get("format") != f'"{FORMAT}"':
            raise FileError("this is no generator of this version", hint=_HINT)
        if sum(map(len, metadata.values())) > MOST_METADATA:
            raise FileError("a generator that says too much about itself", hint=_HINT)
        about = {key: parse_json(text) for key, text in metadata.items() if key != "schema"}
        facts, schema = {key: about[key] for key in FACTS}, metadata["schema"]
        _check_facts(facts, schema)
        if "columns" in about:
            table = read_table({**about, "constraints": parse_json(schema)["constraints"]})
            generated = table.generated
            _check_ends(session, {"latent": (), "conditions": (len(table.conditions),)})
            widths = sum(table.widths[place] for place in generated)
            codes = sum(table.columns[place].size for place in generated)
            _check_ends(session, {"groups": (widths,), "codes": (codes,)}, outputs=True)
            return TableFile(session, table, facts, schema)
        kind = read_arrays(about)
        _check_ends(session, {"noise": (kind.latent,), "label": ()})
        _check_ends(session, {"values": kind.shape}, outputs=True)
        return ArrayFile(session, kind, facts, schema)


def _session(raw: bytes) -> Any:
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong comes as an exception
    return onnxruntime.InferenceSession(
        raw,
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=0,  # which writes to standard output
    )


def _check_facts(facts: dict[str, Any], schema: str) -> None:
    numbers = all(isinstance(facts[key], int | float) and facts[key] >= 0 for key in ("epsilon", "delta"))
    if not numbers or not all(isinstance(facts[key], str) for key in ("name", "unit", "plan")):
        raise ValueError("facts that are none")
    if hashlib.sha256(schema.encode()).hexdigest() != facts["schema_hash"]:
        raise ValueError("another schema than was released")


def _check_ends(session: Any, wanted: dict[str, Sequence[int]], *, outputs: bool = False) -> None:
    """Names and shapes, but for the batch, of what goes in or comes out."""
    ends = session.get_outputs() if outputs else session.get_inputs()
    if {end.name: tuple(end.shape[1:]) for end in ends} != {name: tuple(s) for name, s in wanted.items()}:
        raise ValueError("a network of another form")


def _sound(found: Any, count: int) -> NDArray[np.float32]:
    if len(found) != count or not np.isfinite(found).all():
        raise FileError("the generator gives no numbers", hint=_HINT)
    return np.asarray(found)


@contextmanager
def _damage() -> Iterator[None]:
    """ONNX Runtime and JSON have no common error; whatever they raise on a file is its damage."""
    try:
        yield
    except (FileError, MemoryError):
        raise
    except Exception as error:
        raise FileError("the generator is damaged, or none of ours", hint=_HINT) from error
