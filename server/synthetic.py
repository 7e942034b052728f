"""The synthetic records of a run as a bundle carries them: in formats that people read, each marked."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from common.bundle.marks import write_dicoms, write_edfs, write_parquet, write_sidecar
from common.modalities import signal_output
from common.modalities.array_files import read_arrays
from common.schema import ArraySchema, ImageSchema, SignalSchema, TableSchema
from common.tables import read_table

from .finished import Finished


def write_synthetic(run: Finished, report: dict[str, Any], folder: Path) -> int:
    """Write what ``write_release`` drew, in ``folder``. Returns how many records there are.

    Raises StorageError or DataError if the run's own files are absent or damaged, OSError.
    """
    folder.mkdir()
    facts = {
        "run": run.plan.run,
        "plan": run.plan.hash,
        "epsilon": report["epsilon"],
        "delta": run.plan.privacy.delta,
        "unit": run.plan.privacy.unit,
    }
    if isinstance(run.schema, TableSchema):
        return _table(run, run.schema, folder, facts)
    assert isinstance(run.schema, ArraySchema)
    return _arrays(run, run.schema, folder, facts)


def _table(run: Finished, schema: TableSchema, folder: Path, facts: dict[str, Any]) -> int:
    path = folder / "records.csv"
    shutil.copyfile(run.release / "synthetic.csv", path)
    write_sidecar(path, facts)
    frame = read_table(path, schema)
    write_parquet(frame, schema, folder / "records.parquet", facts)
    return len(frame)


def _arrays(run: Finished, schema: ArraySchema, folder: Path, facts: dict[str, Any]) -> int:
    path = folder / "records.npz"
    shutil.copyfile(run.release / "synthetic.npz", path)
    shutil.copyfile(run.release / "gallery.png", folder / "gallery.png")
    arrays = read_arrays(path, schema.nobodys)
    if isinstance(schema, ImageSchema):
        write_dicoms(arrays, schema, folder / "dicom", facts)
    if isinstance(schema, SignalSchema):
        texts = {name: str(value) for name, value in facts.items()}
        signal_output.write_parquet(arrays.values, arrays.labels, schema, folder / "records.parquet", texts)
        write_edfs(arrays, schema, folder / "edf", facts)
    return len(arrays)
