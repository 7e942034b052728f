"""The records a simulation starts from, of any kind: what they are split by, and how a site keeps its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays import Arrays
from ..config import SimulationConfig
from ..errors import ConfigError, EmptyClassError
from ..evaluation.task import check_task
from ..modalities.array_files import read_arrays, write_records
from ..modalities.tabular import encode
from ..schema import ArraySchema, Schema, TableSchema
from ..tables import read_table, write_table

Mask = NDArray[np.bool_]


class Holdings(Protocol):
    """All sites' records together: only a simulation has them."""

    @property
    def index(self) -> pd.DataFrame:
        """Columns by which records may be split, one row a record."""

    @property
    def suffix(self) -> str:
        """Of the file in which a site keeps its records."""

    def check(self, config: SimulationConfig, known: int | None) -> None:
        """Raise DataError's kinds or ConfigError if a run on these records cannot work.

        known: in a continued run, how many values of a label were summed earlier and may be absent now
        """

    def write(self, rows: Mask, path: Path) -> None:
        """Keep some of the records. Raises StorageError."""


@dataclass(frozen=True, slots=True)
class TableHoldings:
    """A table."""

    index: pd.DataFrame
    schema: TableSchema
    split_column: str | None

    suffix = ".parquet"

    def check(self, config: SimulationConfig, known: int | None) -> None:
        """Refuse what does not fit the schema, conditions without a record, and tasks that do not exist.

        Any condition may be without a new record in a continued run.
        """
        codes = encode(self._own(), self.schema)
        for position, column in enumerate(self.schema.columns):
            if column.condition and known is None:
                _refuse_empty(codes[:, position], column.name, column.categories)
        if config.evaluation is not None:
            check_task(self.schema, config.evaluation)

    def write(self, rows: Mask, path: Path) -> None:
        """Columns of the schema and the subject."""
        subject = [self.schema.subject] if self.schema.subject else []
        write_table(self._own()[[*subject, *self.schema.names]][rows], path)

    def _own(self) -> pd.DataFrame:
        """Without a column that only says whose site a record is."""
        own = {*self.schema.names, *([self.schema.subject] if self.schema.subject else [])}
        split = self.split_column
        return self.index if split is None or split in own else self.index.drop(columns=split)


@dataclass(frozen=True, slots=True)
class ArrayHoldings:
    """Images or signals."""

    arrays: Arrays
    schema: ArraySchema

    suffix = ".npz"

    @property
    def index(self) -> pd.DataFrame:
        """Label codes, and subjects if the schema names them."""
        columns: dict[str, Any] = {self.schema.label.name: self.arrays.labels}
        if self.schema.subject is not None:
            columns[self.schema.subject] = self.arrays.subjects
        return pd.DataFrame(columns)

    def check(self, config: SimulationConfig, known: int | None) -> None:
        """Refuse classes without a record, and tasks: what is asked of arrays is their label."""
        if config.evaluation is not None:
            raise ConfigError("evaluation: images and signals are judged by their label; leave it out")
        label, first = self.schema.label, known or 0
        codes = self.arrays.labels
        if first < label.size:
            _refuse_empty(codes[codes >= first] - first, label.name, label.categories[first:])

    def write(self, rows: Mask, path: Path) -> None:
        """One npz file."""
        write_records(self.arrays.take(rows), self.schema, path)


def holdings_of(data: pd.DataFrame | Arrays, schema: Schema, config: SimulationConfig) -> Holdings:
    """Records in memory as a simulation splits them."""
    if isinstance(data, Arrays):
        assert isinstance(schema, ArraySchema)
        return ArrayHoldings(data, schema)
    assert isinstance(schema, TableSchema)
    by_column = config.sites.column if config.sites.split == "column" else None
    return TableHoldings(data, schema, by_column)


def read_holdings(path: Path, schema: Schema, allow_identified: bool) -> pd.DataFrame | Arrays:
    """Records of any kind from a file or folder. Raises DataError's kinds."""
    if isinstance(schema, ArraySchema):
        return read_arrays(path, schema, allow_identified=allow_identified)
    assert isinstance(schema, TableSchema)
    return read_table(path, schema)


def _refuse_empty(codes: NDArray[np.int64], name: str, categories: tuple[Any, ...]) -> None:
    present = np.bincount(codes, minlength=len(categories))
    if (present == 0).any():
        raise EmptyClassError(
            f"condition {name!r}: no record has the value {categories[int(np.argmin(present))]!r}",
            hint="remove the value from the schema, or merge it with a neighbour",
        )
