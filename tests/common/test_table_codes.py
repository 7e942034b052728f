"""A Parquet table a column at a time: the same codes and the same errors as of the whole table."""

import numpy as np
import pandas as pd
import pytest

from common import holdout, table_codes
from common.columns import CategoryColumn, NumberColumn
from common.constraints import AtMost
from common.errors import DataError, MissingValueError
from common.modalities.batches import sum_of_batches
from common.modalities.gram import GramFeatures
from common.modalities.histograms import HistogramFeatures
from common.modalities.layout import Layout
from common.modalities.tabular import encode
from common.schema import TableSchema
from common.table_codes import read_codes
from common.tables import read_table

SCHEMA = TableSchema(
    name="visits",
    subject="patient",
    columns=(
        NumberColumn(name="start.day", bounds=(0, 100), decimals=0, cuts=(50,)),
        NumberColumn(name="end", bounds=(0, 100), decimals=0, cuts=(50,), missing=True),
        NumberColumn(name="cost", bounds=(0, 9), decimals=2, bins=8),
        CategoryColumn(name="kind", categories=("a", "b"), condition=True),
    ),
    constraints=(AtMost(left="start.day", right="end"),),
)


def frame(rows=40):
    random = np.random.default_rng(0)
    start = random.integers(0, 90, rows)
    return pd.DataFrame(
        {
            "kind": np.where(random.random(rows) < 0.5, "a", "b"),
            "patient": np.arange(rows) // 2,
            "start.day": start,
            "end": pd.Series(start + 5).astype("Int64").mask(random.random(rows) < 0.2),
            "cost": random.uniform(0, 9, rows).round(2),
        }
    )


def whole(path):
    return encode(read_table(path, SCHEMA), SCHEMA)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_codes_are_those_of_the_whole_table_in_a_byte_each(tmp_path, suffix):
    path = tmp_path / f"visits{suffix}"
    frame().to_parquet(path) if suffix == ".parquet" else frame().to_csv(path, index=False)
    codes, subjects = read_codes(path, SCHEMA)
    assert codes.dtype == np.uint8
    assert np.array_equal(codes, whole(path))
    assert subjects.tolist() == frame()["patient"].astype(str).tolist()


def test_parquet_is_read_a_column_at_a_time(tmp_path, monkeypatch):
    frame().to_parquet(tmp_path / "visits.parquet")
    read = []

    def spied(path, schema=None, *, columns=None):
        read.append(columns)
        return read_table(path, schema, columns=columns)

    monkeypatch.setattr(table_codes, "read_table", spied)
    read_codes(tmp_path / "visits.parquet", SCHEMA)
    assert {name for (name,) in read} == {*SCHEMA.names, "patient"}


WRONG = {
    "a column is absent": lambda table: table.drop(columns="cost"),
    "a column is too many": lambda table: table.assign(ward="x"),
    "a value is not allowed": lambda table: table.assign(kind=["a", "c", *["b"] * 37, "d"]),
    "a value is missing": lambda table: table.assign(cost=table["cost"].mask(table.index > 30)),
    "a constraint does not hold": lambda table: table.assign(end=table["end"].mask(table.index == 7, 0)),
}


@pytest.mark.parametrize("what", WRONG)
def test_errors_are_those_of_the_whole_table(tmp_path, what):
    path = tmp_path / "visits.parquet"
    WRONG[what](frame()).to_parquet(path)
    with pytest.raises(DataError) as expected:
        whole(path)
    with pytest.raises(type(expected.value)) as found:
        read_codes(path, SCHEMA)
    assert (str(found.value), found.value.hint) == (str(expected.value), expected.value.hint)


def test_a_record_of_nobody_and_a_file_that_is_no_table(tmp_path):
    path = tmp_path / "visits.parquet"
    table = frame()
    table.assign(patient=table["patient"].mask(table.index == 3)).to_parquet(path)
    with pytest.raises(MissingValueError, match="row 4"):
        read_codes(path, SCHEMA)
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_codes(path, SCHEMA)
    with pytest.raises(DataError, match="there is no table"):
        read_codes(tmp_path / "absent.parquet", SCHEMA)


def test_a_sum_in_batches_is_the_sum():
    codes = np.random.default_rng(1).integers(0, 3, (50, 4)).astype(np.uint8)
    weights = np.repeat(1 / 2, 50)
    layout = Layout((3, 3, 3), (3,), (0, 1, 2, 3))
    for phi in (HistogramFeatures((3, 3, 3, 3)), GramFeatures(layout, (3,), 0.25)):
        once = phi.sum(codes, weights)
        for size in (7, 25, 50, 64):
            parts = sum_of_batches(phi, codes, weights, size, lambda rows: rows)
            assert np.allclose(parts, once, rtol=0, atol=1e-12)
        assert not np.allclose(sum_of_batches(phi, codes[:49], weights, 7, lambda rows: rows), once)


def test_sides_do_not_depend_on_how_many_names_are_hashed_at_once(monkeypatch):
    names = np.array([f"patient {number}" for number in range(300)], object)
    for subjects in (None, names):
        once = holdout.held_out(subjects, 300, 0.3, "A" * 16, "visits.parquet")
        monkeypatch.setattr(holdout, "_BATCH", 7)
        assert np.array_equal(holdout.held_out(subjects, 300, 0.3, "A" * 16, "visits.parquet"), once)
        monkeypatch.undo()
        assert 50 < once.sum() < 130
