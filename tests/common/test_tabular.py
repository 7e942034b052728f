"""Records to codes and back: nothing out of the schema gets in, nothing out of it comes out."""

import json
import tomllib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from common.columns import CategoryColumn, NumberColumn
from common.errors import ColumnError, DataError, MissingValueError, SchemaError, ValueNotAllowedError
from common.modalities.described import described
from common.modalities.layout import Layout
from common.modalities.tabular import decode, encode
from common.schema import Schema, TableSchema
from common.schema_detect import detect
from common.table_codes import read_codes
from server import demo
from tests import released, toy, toy_arrays


def frame(**changes):
    return toy.records(40).drop(columns="hospital").assign(**changes)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_any_codes_decode_to_records_that_encode_to_the_same_codes(seed):
    random = np.random.default_rng(seed)
    codes = np.stack([random.integers(0, size, 200) for size in toy.SCHEMA.sizes], axis=1)
    table = decode(codes, toy.SCHEMA, random)
    assert np.array_equal(encode(table, toy.SCHEMA), codes)


def test_every_code_of_the_demo_schema_round_trips_through_csv(tmp_path):
    _, schema = demo.records()
    random = np.random.default_rng(0)
    codes = np.stack([random.integers(0, size, 3000) for size in schema.sizes], axis=1)
    table = decode(codes, schema, random)
    table.to_csv(tmp_path / "t.csv", index=False)
    back = pd.read_csv(tmp_path / "t.csv")
    assert np.array_equal(encode(back, schema), codes)
    for column in schema.columns:
        if isinstance(column, NumberColumn):
            values = back[column.name].dropna()
            assert values.between(*column.bounds).all()
            assert np.allclose(values, values.round(column.decimals))


def test_the_demo_is_the_whole_experiment():
    table, schema = demo.records()
    assert len(table) == 20_190
    assert table.person.nunique() == 5_912
    assert table.site.nunique() == 6
    assert len(encode(table.drop(columns="site"), schema)) == 20_190
    assert {c.name for c in schema.conditions} == {"health", "sex"}
    assert table.health.value_counts().to_dict() == {
        "excellent": 11_019,
        "good": 7_309,
        "fair": 1_560,
        "poor": 302,
    }


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"age": 101}, ValueNotAllowedError, "row 1, column 'age'"),
        ({"age": -1}, ValueNotAllowedError, "integers from 0 to 100 years"),
        ({"age": 3.5}, ValueNotAllowedError, "integers"),
        ({"age": "old"}, ValueNotAllowedError, "row 1"),
        ({"age": np.inf}, ValueNotAllowedError, "row 1"),
        ({"age": np.nan}, MissingValueError, "declare missing = true"),
        ({"diagnosis": "fatal"}, ValueNotAllowedError, "none, mild, severe"),
        ({"diagnosis": None}, MissingValueError, "diagnosis"),
        ({"grade": 4}, ValueNotAllowedError, "1, 2, 3"),
        ({"grade": "first"}, ValueNotAllowedError, "1, 2, 3"),
        ({"grade": True}, ValueNotAllowedError, "row 1, column 'grade'"),
        ({"age": True}, ValueNotAllowedError, "row 1, column 'age'"),
        ({"age": pd.Timestamp(0)}, ValueNotAllowedError, "row 1, column 'age'"),
        ({"age": int("9" * 400)}, ValueNotAllowedError, "row 1, column 'age'"),
        ({"name": "x"}, ColumnError, "not in the schema ['name']"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused(changes, kind, says):
    with pytest.raises(kind) as caught:
        encode(frame(**changes), toy.SCHEMA)
    assert says in caught.value.message + caught.value.hint


def test_the_first_bad_row_is_named_and_its_value_is_not():
    table = frame()
    table.loc[13, "cost"] = 70_077.5
    with pytest.raises(ValueNotAllowedError) as caught:
        encode(table, toy.SCHEMA)
    assert "row 14, column 'cost'" in caught.value.message
    assert "70077" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("wrong", ["True", "FALSE", "true", "9" * 400])
@pytest.mark.parametrize("column", ["age", "grade"])
@pytest.mark.parametrize("how", ["all", "one"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_truth_values_and_endless_numbers_in_a_file_are_no_numbers(tmp_path, wrong, column, how, suffix):
    """pandas makes 1 and 0 of True and False, of a whole column without a word."""
    path = tmp_path / f"t{suffix}"
    table = frame().astype({column: object})
    table.loc[slice(None) if how == "all" else 13, column] = wrong
    if suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        if how == "all" and not wrong.isdigit():
            table[column] = wrong.lower() == "true"
        table.astype({} if how == "all" else {column: str}).to_parquet(path)
    with pytest.raises(ValueNotAllowedError, match=f"row {1 if how == 'all' else 14}, column '{column}'"):
        read_codes(path, toy.SCHEMA)


@pytest.mark.parametrize("values", [[True, None], [True, 2], [np.bool_(False), "3"]])
@pytest.mark.parametrize("dtype", [object, "category"])
def test_truth_values_among_others_are_no_numbers(values, dtype):
    wrong = pd.Series([*values, *[3] * 38], dtype=object).astype(dtype)
    schema = toy.SCHEMA.model_copy(
        update={
            "columns": tuple(
                column.model_copy(update={"missing": True}) if column.name == "age" else column
                for column in toy.SCHEMA.columns
            )
        }
    )
    with pytest.raises(ValueNotAllowedError, match="row 1, column 'age'"):
        encode(frame(age=wrong), schema)


@pytest.mark.parametrize("dtype", ["Int64", "float64", "int32", "string"])
def test_other_types_of_the_same_values_are_the_same(dtype):
    table = frame()
    assert np.array_equal(
        encode(table.assign(age=table.age.astype(dtype)), toy.SCHEMA), encode(table, toy.SCHEMA)
    )
    categorical = table.assign(diagnosis=table.diagnosis.astype("category"))
    assert np.array_equal(encode(categorical, toy.SCHEMA), encode(table, toy.SCHEMA))


def test_a_schema_is_the_same_after_toml(tmp_path):
    (tmp_path / "s.toml").write_text(toy.SCHEMA.to_toml())
    assert Schema.load(tmp_path / "s.toml") == toy.SCHEMA
    assert Schema.load(tmp_path / "s.toml").hash == toy.SCHEMA.hash


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "category", "name": "a", "categories": ["x", "x"]},
        {"kind": "category", "name": "a", "categories": ["x", "y"], "condition": True, "missing": True},
        {"kind": "number", "name": "a", "bounds": [0, 1], "decimals": 2, "cuts": [2]},
        {"kind": "number", "name": "a", "bounds": [0, 9], "decimals": 0, "cuts": [2.5]},
        {"kind": "number", "name": "a", "bounds": [-5, 9], "decimals": 0, "cuts": [2], "scale": "log"},
        {"kind": "number", "name": "a", "bounds": [0, 9], "decimals": 0, "cuts": [2], "atoms": [12]},
        {"kind": "number", "name": "a", "bounds": [0, 9], "decimals": 0, "cuts": [3, 2]},
        {"kind": "number", "name": "a", "bounds": [0, 9], "decimals": 0, "cuts": [1], "atoms": [0]},
        {"kind": "number", "name": "a", "bounds": [0, 9], "decimals": 1, "cuts": [5], "atoms": [9]},
        {"kind": "number", "name": "a", "bounds": [0.25, 9], "decimals": 1, "cuts": [5]},
        {"kind": "number", "name": "a", "bounds": [0, 9], "decimals": 1, "cuts": [5.55]},
        {"kind": "number", "name": "a", "bounds": [0, float("inf")], "decimals": 2, "cuts": [5]},
        {"kind": "number", "name": "a", "bounds": [float("nan"), 5], "decimals": 0, "cuts": [2]},
        {"kind": "number", "name": "a", "bounds": [0, 9], "decimals": 1, "cuts": [5], "atoms": [1, 1]},
        {"kind": "category", "name": "a", "categories": ["", "x"]},
        {"kind": "text", "name": "a"},
        {"kind": "category", "name": "a", "categories": [True, False]},
        {"kind": "category", "name": "a", "categories": [1.0, 2.0]},
        {"kind": "category", "name": "a", "categories": ["1", 2]},
        {"kind": "category", "name": "a=b", "categories": ["x", "y"]},
        {"kind": "category", "name": "a", "categories": ["x", "y", "z"], "keep": "1"},
        {"kind": "number", "name": "a", "bounds": ["0", "110"], "decimals": 0, "cuts": [5]},
        {"kind": "number", "name": "a", "bounds": [False, True], "decimals": 2, "cuts": [0.5]},
        {"kind": "number", "name": "a", "bounds": [0, 110], "decimals": 0, "cuts": ["5"]},
        {"kind": "number", "name": "a", "bounds": [0, 9], "decimals": 0, "cuts": [5], "atoms": [True]},
        {"kind": "number", "name": "a", "bounds": [0, 110], "decimals": "0", "cuts": [5]},
        {"kind": "number", "name": "a=b", "bounds": [0, 110], "decimals": 0, "cuts": [5]},
        {"kind": "date", "name": "a", "bounds": [0, 9], "cuts": [5]},
    ],
)
def test_schemas_that_contradict_themselves(bad, tmp_path):
    good = {"kind": "category", "name": "c", "categories": ["x", "y"], "condition": True}
    content = {"name": "s", "columns": [bad, good]}
    with pytest.raises(ValidationError):
        TableSchema.model_validate(content)
    with pytest.raises((SchemaError, ValueError)):  # of what JSON does not have, the latter
        Schema.from_json(json.dumps(content, allow_nan=False).encode())


@pytest.mark.parametrize("schema", [toy.SCHEMA, released.MIXED, toy_arrays.DIGITS, toy_arrays.WAVES])
def test_a_schema_keeps_its_hash_however_it_is_written(schema):
    """Integers where numbers are meant are numbers, in TOML, JSON and Python alike."""
    again = [
        Schema.from_json(schema.model_dump_json().encode()),
        type(schema).model_validate(schema.model_dump(mode="json")),
        type(schema).model_validate(schema.model_dump()),
        type(schema).model_validate(tomllib.loads(schema.to_toml())),
    ]
    assert {one.hash for one in again} == {schema.hash}


def test_a_column_that_no_schema_takes_is_named_when_one_is_proposed():
    with pytest.raises(DataError, match="a=b") as caught:
        detect(pd.DataFrame({"a=b": [1.5, 2.5, 3.5], "c": ["x", "y", "x"]}), "t")
    assert caught.value.hint


def test_a_schema_needs_a_condition_and_something_to_generate():
    column = CategoryColumn(name="a", categories=("x", "y"))
    condition = CategoryColumn(name="b", categories=("x", "y"), condition=True)
    for columns in (
        (column, column.model_copy(update={"name": "d"})),
        (condition,) * 1,
        (condition, condition),
    ):
        with pytest.raises(ValidationError):
            TableSchema(name="s", columns=columns)


def test_a_broken_schema_file_is_a_typed_error(tmp_path):
    path = tmp_path / "s.toml"
    for content in (b"name = ", b"\xff\xfe", b"name = 'x'\ncolumns = 3"):
        path.write_bytes(content)
        with pytest.raises(SchemaError) as refused:
            Schema.load(path)
        assert refused.value.hint
        assert "Value error" not in refused.value.message


def test_layout_puts_conditions_last_and_back():
    layout = Layout.of(toy.SCHEMA)
    codes = encode(frame(), toy.SCHEMA)
    assert np.array_equal(layout.to_schema(layout.to_model(codes)), codes)
    assert layout.sizes == (5, 3, 5, 3, 3, 2)
    assert layout.condition_grid().tolist() == [[d, s] for d in range(3) for s in range(2)]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_wide_outer_bin_thins_out_towards_its_bound(scale):
    """Bounds say what may occur, cuts where values do; a bin like its neighbour stays even (the control)."""
    column = NumberColumn(name="x", bounds=(1, 100_000), decimals=0, cuts=(100, 200, 300, 500), scale=scale)
    described_, random = described(column), np.random.default_rng(0)

    def middles(number):
        low, high = described_.lows[number], described_.highs[number]
        values = described_.draw(np.full(4000, number), random).steps
        assert ((low <= values) & (values <= high)).all()
        middle = np.sqrt(low * high) if scale == "log" else (low + high) / 2
        return (values > middle).mean()

    assert middles(4) < 0.1  # from 500 to 100,000
    assert abs(middles(1) - 0.5) < 0.05
    assert abs(middles(0) - 0.5) < 0.05 if scale == "linear" else middles(0) > 0.9
