"""The files of a bundle, all but its manifest and signatures."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from common.bundle.claims import DESCRIPTION, EVALUATION, GATE, PLAN, REPORT, SCHEMA, SUMS, WEIGHTS
from common.bundle.contents import FolderContents
from common.bundle.gate_file import GateFile
from common.bundle.manifest import File
from common.evaluation.figures import Evaluation
from common.events import stage

from .finished import Finished
from .papers import papers
from .synthetic import write_synthetic

_MEDIA = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".safetensors": "application/vnd.safetensors",
    ".onnx": "application/onnx",
    ".npz": "application/x-npz",
    ".dcm": "application/dicom",
    ".edf": "application/edf",
    ".toml": "application/toml",
    ".md": "text/markdown",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What files of a bundle are made from: ``folder`` holds those that there are already."""

    run: Finished
    folder: Path
    report: dict[str, Any]
    evaluation: Evaluation | None
    gate: GateFile
    made: str
    program: str
    licence: str | None


Further = Callable[[Parts], Mapping[str, bytes]]
"""More files of a bundle, by path: the portable generator, the report as a page."""


def assemble(parts: Parts, further: Sequence[Further]) -> None:
    """Write all of them into the empty folder of ``parts``. Raises OSError or StorageError."""
    run, folder = parts.run, parts.folder
    for name in (WEIGHTS, DESCRIPTION, SUMS):
        shutil.copyfile(run.release / name, folder / name)
    texts: dict[str, bytes] = {
        PLAN: run.plan.to_json(),
        SCHEMA: run.schema.model_dump_json().encode(),
        "schema.toml": run.schema.to_toml().encode(),
        REPORT: _json(parts.report),
        GATE: parts.gate.model_dump_json(indent=2).encode(),
    }
    if parts.evaluation is not None:
        texts[EVALUATION] = parts.evaluation.model_dump_json(indent=2).encode()
    write(folder, texts)
    stage("bundle", 0, 3, parts.report["epsilon"])
    records = write_synthetic(run, parts.report, folder / "synthetic")
    stage("bundle", 1, 3, parts.report["epsilon"])
    synthetic = [file for file in listed(folder) if file.path.startswith("synthetic/")]
    write(folder, papers(parts, synthetic, records))
    for more in further:
        write(folder, more(parts))
    stage("bundle", 2, 3, parts.report["epsilon"])


def listed(folder: Path) -> tuple[File, ...]:
    """Every file in a folder as a manifest has it, in order. Raises BundlePathError."""
    contents = FolderContents(folder)
    files = []
    for path, size in sorted(contents.sizes.items()):
        hashed = _sha256(folder / path)
        files.append(File(path=path, size=size, sha256=hashed, media=_media(path)))
    return tuple(files)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _media(path: str) -> str:
    suffix = PurePosixPath(path).suffix
    return _MEDIA.get(suffix) or mimetypes.types_map.get(suffix) or "application/octet-stream"


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write new files, by path. Raises OSError, also if one is there."""
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with open(folder / path, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"
