"""The only reader of records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common.errors import ColumnError, MissingValueError, TooFewRecordsError, TooManyRecordsError
from common.modalities.array_files import read_arrays
from common.modalities.array_layout import ArrayLayout
from common.modalities.tabular import encode
from common.plan import Plan
from common.records import Records
from common.schema import ArraySchema, Schema, TableSchema
from common.tables import read_table


def load_records(path: Path, schema: Schema, plan: Plan, *, allow_identified: bool = False) -> Records:
    """A site's records, grouped by the unit that the plan protects.

    allow_identified: take images and signals whose files carry somebody's identity, too
    Raises DataError's kinds; TooFew- and TooManyRecordsError do not say how many.
    """
    records = read_records(path, schema, allow_identified=allow_identified)
    what = "subjects" if schema.subject else "records"
    if records.units < plan.min_records:
        raise TooFewRecordsError(
            f"the site holds fewer than the {plan.min_records} {what} this plan needs",
            hint="join a plan with a smaller min_records, or bring more records",
        )
    if records.units > plan.max_records:
        raise TooManyRecordsError(
            f"the site holds more than the {plan.max_records} {what} this plan has room for",
            hint="join a plan with a larger max_records, or bring fewer records",
        )
    return records


def read_records(path: Path, schema: Schema, *, allow_identified: bool) -> Records:
    """The same, however many they are. Raises DataError's kinds."""
    if isinstance(schema, ArraySchema):
        return _arrays(path, schema, allow_identified)
    return _table(path, schema)


def _table(path: Path, schema: Schema) -> Records:
    """Records of a table, as codes."""
    assert isinstance(schema, TableSchema)
    frame = read_table(path, schema)
    return Records.of(encode(frame, schema), _subjects(frame, schema.subject) if schema.subject else None)


def _arrays(path: Path, schema: ArraySchema, allow_identified: bool) -> Records:
    """Images or signals, one row each."""
    arrays = read_arrays(path, schema, allow_identified=allow_identified)
    unit = None if arrays.subjects is None else pd.factorize(arrays.subjects)[0]
    return Records.of(ArrayLayout.of(schema).to_rows(arrays), unit)


def _subjects(frame: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """A number for each row's subject."""
    if name not in frame.columns:
        raise ColumnError(
            f"the table has no column {name!r}, by which the schema tells whose record it is",
            hint="add it, or agree on a schema that protects single records",
        )
    if frame[name].isna().any():
        raise MissingValueError(
            f"row {int(frame[name].isna().to_numpy().argmax()) + 1}, column {name!r}: a record of nobody",
            hint="every record needs its subject, or its rows cannot be protected together",
        )
    subject = frame[name]
    return pd.factorize(subject.astype(str) if subject.dtype == object else subject)[0]
