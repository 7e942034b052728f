"""Drawn records as files to keep, each with its mark: in the file, or in a zip beside it."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ...sampler.arrays import ArraySample
from ...sampler.errors import RequestError
from ...sampler.output import write_arrays, write_rows, write_table
from ...sampler.provenance import SIDECAR, marks
from ...sampler.sampling import Sample
from ...sampler.session import ArrayFile, TableFile
from .shelf import Generator

FORMS = {"table": ("csv", "parquet", "json"), "image": ("png", "npz"), "signal": ("npz", "csv")}
"""What each kind of records can be kept as; a CSV comes in a zip, with the file that says it is synthetic."""

_TYPES = {
    "csv": "application/zip",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "png": "image/png",
    "npz": "application/octet-stream",
}


def kind_of(found: Generator) -> str:
    """``table``, ``image`` or ``signal``."""
    if isinstance(found, TableFile):
        return "table"
    return "image" if found.kind.whole else "signal"


def file(found: Generator, drawn: Sample | ArraySample, form: str, name: str) -> tuple[bytes, str, str]:
    """Content, name and media type. form: one of ``FORMS``; name: without an end. Raises RequestError."""
    kind = kind_of(found)
    if form not in FORMS[kind]:
        raise RequestError("this kind of file is not made here", hint="one of: " + ", ".join(FORMS[kind]))
    if form == "csv":
        content = _zipped(f"{name}.csv", _text(found, drawn), found.facts)
        return content, f"{name}.csv.zip", _TYPES[form]
    if form == "json":
        assert isinstance(drawn, Sample)
        return _json(drawn, found.facts), f"{name}.json", _TYPES[form]
    with tempfile.TemporaryDirectory(prefix="fedcgan-") as folder:
        path = Path(folder) / f"records.{form}"
        if isinstance(found, TableFile):
            assert isinstance(drawn, Sample)
            write_table(drawn, path, found.facts)
        else:
            assert isinstance(drawn, ArraySample)
            write_arrays(drawn, found.kind, path, found.facts)
        return path.read_bytes(), f"{name}.{form}", _TYPES[form]


def _zipped(name: str, text: str, facts: dict[str, Any]) -> bytes:
    """A CSV has no place for a mark, so it never comes alone."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
        archive.writestr(name + SIDECAR, json.dumps(marks(facts), indent=2) + "\n")
    return content.getvalue()


def _text(found: Generator, drawn: Sample | ArraySample) -> str:
    text = io.StringIO()
    if isinstance(drawn, Sample):
        write_rows(drawn, text)
    else:
        assert isinstance(found, ArrayFile)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(_signal_rows(found, drawn))
    return text.getvalue()


def _signal_rows(found: ArrayFile, drawn: ArraySample) -> Iterable[Iterable[Any]]:
    """A row a sample: record, its class, seconds, and the channels with their units."""
    kind = found.kind
    names = [str(one.get("name", "")) for one in json.loads(found.schema).get("channels", [])]
    units = [f"{name} ({unit})" if unit else name for name, unit in zip(names, kind.units, strict=True)]
    yield ["record", kind.label.name, "seconds", *units]
    length = kind.shape[1]
    seconds = [f"{second:.6g}" for second in (np.arange(length) / kind.rate).tolist()]
    for place, (values, label) in enumerate(zip(drawn.values, drawn.labels, strict=True), 1):
        said = str(kind.label.categories[label])
        columns = ([f"{one:.6g}" for one in channel] for channel in values.tolist())
        yield from zip([place] * length, [said] * length, seconds, *columns, strict=True)


def _json(drawn: Sample, facts: dict[str, Any]) -> bytes:
    """An object with the mark, and the records as a list of objects."""
    columns = {name: values.tolist() for name, values in drawn.plain().items()}
    records = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return (json.dumps({"synthetic": marks(facts), "records": records}, ensure_ascii=False) + "\n").encode()
