"""The only reader of records."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.crypto.secret_file import read_secret, write_secret
from common.errors import (
    RecordsChangedError,
    TooFewRecordsError,
    TooManyRecordsError,
)
from common.holdout import Split, held_out
from common.modalities.array_files import read_arrays
from common.modalities.array_layout import ArrayLayout
from common.plan import Plan
from common.records import Rows
from common.schema import ArraySchema, Schema, TableSchema
from common.table_codes import read_codes


def load_records(
    path: Path, schema: Schema, plan: Plan, key: str, *, allow_identified: bool = False
) -> Split:
    """A site's records, grouped by the unit that the plan protects, and those that it holds out.

    key: the site's secret by which it chooses them; allow_identified: take images and signals whose files
    carry somebody's identity, too
    Raises DataError's kinds; TooFew- and TooManyRecordsError do not say how many.
    """
    split = split_records(path, schema, plan.release.holdout, key, allow_identified=allow_identified)
    what, units = "subjects" if schema.subject else "records", split.training.units
    if units < plan.min_records:
        raise TooFewRecordsError(
            f"the site has fewer than the {plan.min_records} {what} to train on that this plan needs",
            hint="join a plan with a smaller min_records, or bring more records",
        )
    most_held_out = plan.max_records / (1 - plan.release.holdout)
    if units > plan.max_records or split.held_out.units > most_held_out:
        raise TooManyRecordsError(
            f"the site has more than the {plan.max_records} {what} to train on that this plan has room for",
            hint="join a plan with a larger max_records, or bring fewer records",
        )
    return split


def note_sides(split: Split, path: Path) -> None:
    """Keep in ``path`` who is held out as a run begins."""
    write_secret(path, _sides(split))


def check_sides(split: Split, path: Path) -> None:
    """Raise RecordsChangedError unless the same records are held out as when ``path`` was written.

    One that was trained on before would pay for both sides.
    """
    if not path.exists() or read_secret(path) != _sides(split):
        raise RecordsChangedError(
            "other records are held out of training than when this run began",
            hint="put records, their order, the file's name and holdout.key back as they were",
        )


def _sides(split: Split) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(split.held_out.rows).tobytes()).hexdigest().encode()


def split_records(path: Path, schema: Schema, holdout: float, key: str, *, allow_identified: bool) -> Split:
    """The same, however many they are. holdout: share of units. Raises DataError's kinds."""
    rows, subjects = _read(path, schema, allow_identified)
    return Split.of(rows, subjects, held_out(subjects, len(rows), holdout, key, path.name))


def _read(path: Path, schema: Schema, allow_identified: bool) -> tuple[Rows, NDArray[Any] | None]:
    """One row a record, and whose each is, if the schema tells."""
    if isinstance(schema, ArraySchema):
        arrays = read_arrays(path, schema, allow_identified=allow_identified)
        return ArrayLayout.of(schema).to_rows(arrays), arrays.subjects
    assert isinstance(schema, TableSchema)
    return read_codes(path, schema)
