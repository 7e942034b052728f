"""The tables of a league, read and coded once: every system sees the same codes, and is scored on them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...columns import CategoryColumn
from ...errors import ConfigError
from ...evaluation.benchmark import Coder, Codes, scores, shuffled_columns
from ...modalities.tabular import encode
from ...schema import Schema, TableSchema
from ...tables import read_table
from .results import Data, Scores

_FEWEST = 10_000  # synthetic records, so that scores are the system's, not those of a small sample
_ORDER_SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Tables:
    """Training and test records of one league, and their codes, the label last.

    positive: values of the label that classifiers are asked for; asked: the same by code, bool[codes]
    digest: SHA-256 of codes and schema: results of other data are not mixed with these
    """

    schema: TableSchema
    label: str
    positive: tuple[str, ...]
    asked: NDArray[np.bool_]
    frame: pd.DataFrame
    coder: Coder
    train: Codes
    test: Codes
    digest: str

    @classmethod
    def load(
        cls,
        train: Path,
        test: Path | None,
        schema_file: Path,
        label: str,
        positive: tuple[str, ...] = (),
        held_out: float = 0.2,
    ) -> Tables:
        """Columns that the schema does not have are dropped.

        test: if None, a share ``held_out`` of the training table is kept from all systems, the same ones for
        everybody. positive: at least one if the label has more than two values
        Raises ConfigError, and DataError, ColumnError, ValueNotAllowedError for tables unlike the schema.
        """
        schema = _schema(schema_file, label)
        frames = [_fitting(path, schema) for path in (train, test) if path is not None]
        random = np.random.default_rng(_ORDER_SEED)  # scores look at the first records of a longer table
        frames = [frame.iloc[random.permutation(len(frame))].reset_index(drop=True) for frame in frames]
        if test is None:
            kept = round(held_out * len(frames[0]))
            frames = [frames[0].iloc[kept:].reset_index(drop=True), frames[0].iloc[:kept]]
        coder = Coder(frames[0], [frames[1], _declared(schema, frames[0])], label)
        codes = (coder(frames[0]), coder(frames[1]))
        asked = _asked(coder.values(label), label, positive)
        for table, part in (("training", codes[0]), ("test", codes[1])):
            flags = asked[part[:, -1]]
            if not len(part) or flags.all() or not flags.any():
                raise ConfigError(
                    f"the {table} table needs records with and without the label's positive value"
                )
        digest = hashlib.sha256(schema.hash.encode())
        digest.update(codes[0].tobytes() + codes[1].tobytes() + asked.tobytes())
        values = tuple(value for value, flag in zip(coder.values(label), asked, strict=True) if flag)
        return cls(schema, label, values, asked, frames[0], coder, codes[0], codes[1], digest.hexdigest())

    @property
    def wanted(self) -> int:
        """Synthetic records that every system is asked for."""
        return max(len(self.train), _FEWEST)

    @property
    def data(self) -> Data:
        """What results say of these tables."""
        return Data(
            name=self.schema.name,
            digest=self.digest,
            label=self.label,
            positive=self.positive,
            train=len(self.train),
            test=len(self.test),
            columns=len(self.coder.sizes),
            codes=sum(self.coder.sizes),
        )

    def scored(self, codes: Codes) -> Scores:
        """Of synthetic records, int64[records, columns]."""
        found = scores(self.train, self.test, codes, self.coder.sizes, self.asked)
        return Scores.model_validate(found)

    def reference(self, name: str) -> Scores:
        """Of ``real`` or ``shuffled`` records."""
        return self.scored(self.train if name == "real" else shuffled_columns(self.train))


def _schema(path: Path, label: str) -> TableSchema:
    schema = Schema.load(path)
    if not isinstance(schema, TableSchema):
        raise ConfigError(f"{path} is not of a table")
    if schema.subject:
        raise ConfigError(
            "single records are protected here, as peers do, and the schema names a subject",
            hint="a copy of the schema without the subject, if several records of one person may count apart",
        )
    found = {column.name: column for column in schema.columns}
    if not isinstance(found.get(label), CategoryColumn):
        names = ", ".join(name for name, one in found.items() if isinstance(one, CategoryColumn))
        raise ConfigError(
            f"the label {label!r} is no category column of the schema", hint="these are: " + names
        )
    return schema


def _fitting(path: Path, schema: TableSchema) -> pd.DataFrame:
    """A table of the schema's columns alone, every value of it allowed."""
    frame = read_table(path, schema)
    frame = frame[[name for name in frame.columns if name in schema.names]]
    encode(frame, schema)
    return frame[schema.names]


def _declared(schema: TableSchema, like: pd.DataFrame) -> pd.DataFrame:
    """Rows in which every declared category occurs: public, so that everybody knows all codes."""
    columns = {
        column.name: list(column.categories)
        if isinstance(column, CategoryColumn)
        else [like[column.name].iloc[0]]
        for column in schema.columns
    }
    most = max(map(len, columns.values()))
    padded = {name: values + values[-1:] * (most - len(values)) for name, values in columns.items()}
    return pd.DataFrame(padded)


def _asked(values: list[str], label: str, positive: tuple[str, ...]) -> NDArray[np.bool_]:
    unknown = [value for value in positive if value not in values]
    if unknown or (not positive and len(values) != 2):
        raise ConfigError(
            f"{label} has no value {unknown[0]!r}" if unknown else f"{label} has {len(values)} values",
            hint="--positive names those that classifiers are asked for, of: " + ", ".join(values),
        )
    return np.isin(values, positive) if positive else np.array([False, True])
