"""Dates, and what a schema says of several columns: refused where it cannot hold, enforced on records."""

import copy

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from common.errors import ConstraintError, SchemaVersionError, ValueNotAllowedError
from common.modalities.tabular import decode, encode
from common.sampler.columns import days_of
from common.schema import Schema, TableSchema, of_kind
from common.schema_detect import detect
from tests.released import MIXED, table

CONTENT = MIXED.model_dump(mode="json")


def with_constraints(*constraints):
    return TableSchema.model_validate({**copy.deepcopy(CONTENT), "constraints": list(constraints)})


def frame(count=200):
    """Records in which everything holds."""
    return table().sample(count, {}, 3)


def test_a_schema_with_dates_and_constraints_is_the_same_after_toml_and_json(tmp_path):
    (tmp_path / "s.toml").write_text(MIXED.to_toml())
    assert Schema.load(tmp_path / "s.toml") == MIXED
    assert Schema.from_json(MIXED.model_dump_json().encode()).hash == MIXED.hash
    assert MIXED.model_dump(mode="json")["columns"][0]["bounds"] == ["2019-01-01", "2020-12-31"]
    assert MIXED.columns[0].bounds == (days_of("2019-01-01"), days_of("2020-12-31"))


def test_a_schema_of_another_version_says_so(tmp_path):
    with pytest.raises(SchemaVersionError, match="version 2"):
        of_kind({**CONTENT, "version": 2, "something": "new"})
    (tmp_path / "s.toml").write_text("version = 3\n")
    with pytest.raises(SchemaVersionError):
        Schema.load(tmp_path / "s.toml")
    with pytest.raises(SchemaVersionError):
        Schema.from_json(b'{"version": "1"}')
    assert of_kind({key: value for key, value in CONTENT.items() if key != "version"}) == MIXED


@pytest.mark.parametrize(
    ("constraint", "says"),
    [
        ({"kind": "at-most", "left": "admitted", "right": "nobody"}, "no column 'nobody'"),
        ({"kind": "at-most", "left": "admitted", "right": "cost"}, "date cannot be compared"),
        ({"kind": "at-most", "left": "sex", "right": "cost"}, "no number or date"),
        ({"kind": "at-most", "left": "cost", "right": "cost"}, "two different"),
        ({"kind": "sum", "total": "ward", "parts": ["drugs", "visits"]}, "as many decimals"),
        ({"kind": "sum", "total": "cost", "parts": ["cost", "drugs"]}, "different columns"),
        ({"kind": "sum", "total": "cost", "parts": ["drugs"]}, "at least 2"),
        ({"kind": "sum", "total": "admitted", "parts": ["discharged", "cost"]}, "dates cannot be added"),
        ({"kind": "implies", "when": {"visits": 1}, "then": {"smoker": ["no"]}}, "no category column"),
        ({"kind": "implies", "when": {"sex": "x"}, "then": {"smoker": ["no"]}}, "no category 'x'"),
        ({"kind": "implies", "when": {"grade": "1"}, "then": {"smoker": ["no"]}}, "no category '1'"),
        ({"kind": "implies", "when": {"sex": "m"}, "then": {"sex": ["f"]}}, "both sides"),
        ({"kind": "implies", "when": {"sex": "m"}, "then": {"grade": "missing"}}, "cannot be missing"),
        ({"kind": "implies", "when": {"sex": "m"}, "then": {"visits": [10]}}, "never has the value"),
        ({"kind": "implies", "when": {"sex": "m"}, "then": {"visits": [0.5]}}, "never has the value"),
        ({"kind": "implies", "when": {"sex": "m"}, "then": {"visits": []}}, "without a value"),
        ({"kind": "implies", "when": {}, "then": {"visits": [1]}}, "at least 1"),
        ({"kind": "never", "when": {}}, "does not match any"),
    ],
)
def test_constraints_that_fit_no_columns_are_refused(constraint, says):
    with pytest.raises(ValidationError, match=says):
        with_constraints(constraint)


def test_constraints_that_no_record_could_hold_are_refused():
    below = copy.deepcopy(CONTENT)
    below["columns"][1] |= {"bounds": ["2010-01-01", "2018-12-31"], "cuts": ["2015-01-01"], "atoms": []}
    with pytest.raises(ValidationError, match="always above"):
        TableSchema.model_validate(below)
    small = copy.deepcopy(CONTENT)
    small["columns"][3] |= {"bounds": [2000, 3000], "cuts": [2500]}
    small["constraints"] = [CONTENT["constraints"][2]]
    with pytest.raises(ValidationError, match="no sum of the parts"):
        TableSchema.model_validate(small)
    with pytest.raises(ValidationError, match="total of two sums"):
        with_constraints(*[CONTENT["constraints"][2]] * 2)
    with pytest.raises(ValidationError, match="at most 64"):
        with_constraints(*[CONTENT["constraints"][0]] * 65)


def test_a_total_cannot_be_part_of_itself():
    content = copy.deepcopy(CONTENT)
    for name in ("a", "b", "c"):
        content["columns"].append(
            {"name": name, "kind": "number", "bounds": [0, 9], "decimals": 0, "cuts": [5]}
        )
    content["constraints"] = [
        {"kind": "sum", "total": "a", "parts": ["b", "visits"]},
        {"kind": "sum", "total": "b", "parts": ["c", "a"]},
    ]
    with pytest.raises(ValidationError, match="part of itself"):
        TableSchema.model_validate(content)


@pytest.mark.parametrize(
    "change",
    [
        {"bounds": ["2019-01-01", "2018-12-31"]},
        {"bounds": ["2019-01-01", "2019-02-30"]},
        {"bounds": [17000, 18000]},
        {"bounds": ["2019-1-1", "2020-12-31"]},
        {"decimals": 2},
        {"scale": "log"},
        {"unit": "days"},
    ],
)
def test_dates_that_are_none(change):
    content = copy.deepcopy(CONTENT)
    content["columns"][0] |= change
    with pytest.raises(ValidationError):
        TableSchema.model_validate(content)


def test_bounds_that_no_number_holds_exactly_are_refused():
    content = copy.deepcopy(CONTENT)
    content["columns"][2] |= {"bounds": [0, 1e15], "scale": "linear"}
    with pytest.raises(ValidationError, match="more digits"):
        TableSchema.model_validate(content)


def test_records_in_which_everything_holds_are_encoded_and_dates_come_in_any_type():
    records = frame()
    codes = encode(records, MIXED)
    for column in ("admitted", "discharged"):
        days = pd.to_datetime(records[column], format="%Y-%m-%d")
        assert np.array_equal(encode(records.assign(**{column: days}), MIXED), codes)
        objects = records.assign(**{column: days.dt.date.where(days.notna(), None)})
        assert np.array_equal(encode(objects, MIXED), codes)


@pytest.mark.parametrize("wrong", ["2018-12-31", "2019-1-5", "2019-02-30", "05.01.2019", "2019-01-05T00:00"])
def test_what_is_no_date_of_the_schema_is_refused_and_not_repeated(wrong):
    records = frame()
    records.loc[6, "admitted"] = wrong
    with pytest.raises(ValueNotAllowedError, match="row 7, column 'admitted'") as caught:
        encode(records, MIXED)
    assert wrong not in caught.value.message + caught.value.hint
    assert "2019-01-01 to 2020-12-31" in caught.value.hint


def test_a_time_of_day_is_no_date():
    records = frame()
    times = pd.to_datetime(records["admitted"], format="%Y-%m-%d")
    times[4] += pd.Timedelta(hours=1)
    with pytest.raises(ValueNotAllowedError, match="row 5"):
        encode(records.assign(admitted=times), MIXED)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"admitted": "2020-05-02", "discharged": "2020-05-01"}, 1),
        ({"drugs": 100.01, "ward": 100.0, "cost": 200.01}, 2),
        ({"drugs": 10.01, "ward": 20.0, "cost": 30.0}, 3),
        ({"diagnosis": "none", "visits": 2, "smoker": None}, 4),
        ({"diagnosis": "none", "visits": 1, "smoker": "no"}, 4),
        ({"diagnosis": "bad", "smoker": "no", "grade": 1}, 5),
    ],
)
def test_a_record_that_breaks_a_constraint_names_row_and_constraint_and_no_value(changes, number):
    records = frame()
    for name, value in changes.items():
        records.loc[12, name] = value
    with pytest.raises(ConstraintError, match=f"row 13: constraint {number} ") as caught:
        encode(records, MIXED)
    said = caught.value.message + caught.value.hint
    assert not any(str(value) in said for value in changes.values() if isinstance(value, float))
    assert "(1 such rows)" in said


def test_sums_are_exact_where_floats_are_not_and_missing_values_pass():
    records = frame()
    records.loc[0, ["drugs", "ward", "cost"]] = [0.1, 0.2, 0.3]  # 0.1 + 0.2 != 0.3 in float64
    records.loc[1, "cost"] = np.nan
    records.loc[2, "discharged"] = None
    assert len(encode(records, MIXED)) == len(records)


def test_decoding_gives_iso_dates_that_encode_to_the_same_codes():
    random = np.random.default_rng(1)
    free = with_constraints()
    codes = np.stack([random.integers(0, size, 500) for size in free.sizes], axis=1)
    made = decode(codes, free, random)
    assert made["admitted"].str.fullmatch(r"\d{4}-\d\d-\d\d").all()
    assert np.array_equal(encode(made, free), codes)


def test_detection_finds_dates_and_says_whole_years():
    records = frame()[["admitted", "discharged", "sex"]]
    found = detect(records, "found")
    assert [column.kind for column in found.columns] == ["date", "date", "category"]
    first = found.model_dump(mode="json")["columns"][0]["bounds"]
    assert first == ["2019-01-01", "2020-12-31"]
    assert found.columns[1].missing
    assert len(encode(records, found)) == len(records)
