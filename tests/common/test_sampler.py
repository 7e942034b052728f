"""Drawn records: everything asked for and everything the schema says holds in every row, exactly."""

import copy
import csv
import dataclasses
import io
import json
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from common.errors import ImpossibleConditionError
from common.modalities.tabular import encode
from common.sampler.drawing import draw_groups
from common.sampler.errors import ImpossibleError, RequestError, UnknownValueError
from common.sampler.output import write_rows
from common.sampler.report import report, sentences
from common.sampler.sampling import Limits, attainable, sample
from common.schema import TableSchema
from tests import released

CONTENT = released.MIXED.model_dump(mode="json")
MIXED = released.table()
FREE = TableSchema.model_validate({**CONTENT, "constraints": []})
QUIET = {"max_examples": 25, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def drawn(count=500, where=(), balance=None, seed=0, of=MIXED):
    return sample(of.table, of.chances, count, where, balance, seed)


def rows(made):
    """As a file has them: text."""
    file = io.StringIO()
    write_rows(made, file)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def check(row, schema):
    """One record, by the schema's own words and decimal arithmetic."""
    for column in schema["columns"]:
        text = row[column["name"]]
        if text == "":
            assert column["missing"]
        elif column["kind"] == "category":
            assert text in map(str, column["categories"])
        elif column["kind"] == "date":
            assert column["bounds"][0] <= text <= column["bounds"][1]
        else:
            number = Decimal(text)
            assert column["bounds"][0] <= number <= column["bounds"][1]
            assert -number.normalize().as_tuple().exponent <= column["decimals"]
            assert column["decimals"] > 0 or "." not in text
    for constraint in schema["constraints"]:
        CHECKS[constraint["kind"]](row, constraint)


def check_all(found):
    for row in found:
        check(row, CONTENT)


def ordered(row, constraint):
    left, right = row[constraint["left"]], row[constraint["right"]]
    if left and right:
        assert left <= right if "-" in left[1:] else Decimal(left) <= Decimal(right)


def added(row, constraint):
    parts = [row[name] for name in constraint["parts"]]
    if row[constraint["total"]] and all(parts):
        assert Decimal(row[constraint["total"]]) == sum(map(Decimal, parts))


def implied(row, constraint):
    if all(row[name] == str(value) for name, value in constraint["when"].items()):
        for name, values in constraint["then"].items():
            assert row[name] == "" if values == "missing" else row[name] in map(str, values)


CHECKS = {"at-most": ordered, "sum": added, "implies": implied}


@st.composite
def schemas(draw):
    """Some of the columns' declarations changed, some of the constraints left out."""
    content = copy.deepcopy(CONTENT)
    columns = {column["name"]: column for column in content["columns"]}
    for name in ("admitted", "discharged", "drugs", "ward", "cost", "visits"):
        column = columns[name]
        column["missing"] = draw(st.booleans())
        if column["kind"] == "date":
            first = draw(st.dates(pd.Timestamp("1890-01-01").date(), pd.Timestamp("2019-01-01").date()))
            column["bounds"] = [first.isoformat(), f"{draw(st.integers(2021, 2090))}-06-30"]
        if draw(st.booleans()):
            column |= {"cuts": [], "bins": draw(st.integers(2, 8))}
    columns["cost"]["decimals"] = draw(st.integers(2, 4))
    columns["drugs"] |= {"scale": draw(st.sampled_from(["log", "linear"]))}
    columns["ward"]["bounds"] = [draw(st.integers(-50, 0)), 900]
    columns["smoker"]["missing"] = True
    content["constraints"] = [one for one in content["constraints"] if draw(st.booleans())]
    return TableSchema.model_validate(content)


ASKED = {
    "diagnosis": ["none", "mild", "bad", "mild..bad"],
    "sex": ["f"],
    "admitted": ["2019-02-01..", "..2019-12-31", "2019-03-01..2020-10-30"],
    "ward": ["200..", "..350.5", "100..800"],
    "grade": ["2", "..2", "2..3"],
    "cost": ["100.05..900"],
}


@given(
    schemas(),
    st.dictionaries(st.sampled_from(sorted(ASKED)), st.integers(0, 9), max_size=3),
    st.integers(0, 99),
)
@settings(**QUIET)
def test_every_row_of_any_schema_holds_everything(schema, asked, seed):
    where = [f"{name}={ASKED[name][pick % len(ASKED[name])]}" for name, pick in asked.items()]
    of = released.table(schema, seed)
    try:
        made = drawn(60, where, seed=seed, of=of)
    except ImpossibleError:
        reject()  # random weights may never draw it; Hypothesis says if that is so too often
    found, content = rows(made), schema.model_dump(mode="json")
    assert len(found) == 60
    for row in found:
        check(row, content)
        for one in where:
            holds(row, *one.split("="))
    frame = of.sample(60, {}, seed) if not where else None
    if frame is not None:
        encode(frame, schema)  # a site would take them


def holds(row, name, value):
    low, dots, high = value.partition("..")
    text = row[name]
    if name == "diagnosis":
        assert text in ({"mild", "bad"} if dots else {value})
    elif not dots:
        assert text == value
    else:
        kind = str if name == "admitted" else Decimal
        assert not low or kind(low) <= kind(text)
        assert not high or kind(text) <= kind(high)


def test_the_mixed_schema_is_drawn_and_the_check_can_fail():
    found = rows(drawn(2000))
    check_all(found)
    assert {row["smoker"] for row in found} == {"", "no", "yes, often"}
    for change in (
        {"cost": "1.00"},
        {"ward": "0.05"},
        {"admitted": "2018-01-01"},
        {"grade": "4"},
        {"sex": ""},
    ):
        bad = [{**row, **change} for row in found]
        with pytest.raises(AssertionError):
            check_all(bad)


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another():
    assert rows(drawn(50, seed=3)) == rows(drawn(50, seed=3)) != rows(drawn(50, seed=4))


def test_conditions_are_exact_and_nothing_is_rejected_for_them():
    free = released.table(FREE)
    made = drawn(300, ["diagnosis=mild..bad", "sex=m"], of=free)
    assert report(made)["acceptance"] == 1.0
    assert made.drawn == 300
    assert {row["diagnosis"] for row in rows(made)} == {"mild", "bad"}
    plain = drawn(10_000, of=free)
    codes = np.ravel_multi_index([plain.values["diagnosis"].steps, plain.values["sex"].steps], (3, 2))
    assert np.abs(np.bincount(codes, minlength=6) / 10_000 - free.prior).max() <= 1e-3


def test_rejection_leaves_the_distribution_of_what_is_kept():
    """Records with ward >= 300 drawn by rejection are those of a large sample that have it."""
    free = released.table(FREE)
    everything = drawn(60_000, of=free, seed=1)
    kept = everything.values["ward"].steps >= 3000
    made = drawn(10_000, ["ward=300.."], of=free, seed=2)
    assert abs(made.acceptance - kept.mean()) < 0.02
    for name in ("grade", "diagnosis"):
        expected = np.bincount(everything.values[name].steps[kept], minlength=3) / kept.sum()
        found = np.bincount(made.values[name].steps, minlength=3) / 10_000
        assert np.abs(expected - found).max() < 0.02


def test_balance_gives_equal_shares_even_under_rejection():
    made = drawn(302, ["ward=100.."], balance="diagnosis")
    counts = pd.Series([row["diagnosis"] for row in rows(made)]).value_counts()
    assert sorted(counts) == [100, 101, 101]
    assert set(pd.Series([r["diagnosis"] for r in rows(drawn(9, ["diagnosis=mild"], "diagnosis"))])) == {
        "mild"
    }
    with pytest.raises(RequestError) as caught:
        drawn(9, balance="grade")
    assert "diagnosis, sex" in caught.value.hint


def test_rare_and_unseen_combinations_are_drawn_and_flagged():
    of = released.table(
        FREE, prior=[0.5, 0.004, 0.496, 0.0, 0.0, 0.0]
    )  # of 1,000 units, noise 5: 15 is the line
    made = drawn(1000, of=of)
    assert made.extrapolated == ({"diagnosis": "none", "sex": "m"},)
    asked = drawn(20, ["diagnosis=bad"], of=of)
    assert len(asked.extrapolated) == 2
    assert "extrapolated" in " ".join(sentences(asked))
    assert drawn(20, ["diagnosis=mild", "sex=f"], of=of).extrapolated == ()
    assert (
        sentences(drawn(20, ["diagnosis=mild", "sex=f"], of=released.table())) != []
    )  # constraints reject some


@pytest.mark.parametrize(
    ("where", "kind", "says"),
    [
        (["height=3"], UnknownValueError, "admitted, discharged"),
        (["diagnosis=fatal"], UnknownValueError, "none, mild, bad"),
        (["diagnosis=none..fatal"], UnknownValueError, "none, mild, bad"),
        (["smoker=no..yes, often"], UnknownValueError, "allowed"),
        (["ward=many"], UnknownValueError, "numbers"),
        (["ward=nan"], UnknownValueError, "numbers"),
        (["ward=1_0"], UnknownValueError, "numbers"),
        (["ward=\u0663..\u0664"], UnknownValueError, "numbers"),
        (["ward=\uff13"], UnknownValueError, "numbers"),
        (["ward=e5"], UnknownValueError, "numbers"),
        (["admitted=2019-W01-1"], UnknownValueError, "2024-12-31"),
        (["admitted=\u0662\u0660\u0661\u0669-01-01"], UnknownValueError, "2024-12-31"),
        (["ward=1e999999999"], UnknownValueError, "numbers"),
        (["admitted=2019-13-01"], UnknownValueError, "2024-12-31"),
        (["ward"], RequestError, "age=60..70"),
        (["ward=1", "ward=2"], RequestError, "a range"),
        (["ward=901.."], ImpossibleError, "0.0 to 900.0"),
        (["ward=5..4"], ImpossibleError, "4..5"),
        (["admitted=2020-01-02..2020-01-01"], ImpossibleError, "2020-01-01..2020-01-02"),
        (["ward=0.01..0.09"], ImpossibleError, "0.0 to 900.0"),
        (["visits=2.5"], ImpossibleError, "0 to 9"),
        (["admitted=2021-01-01"], ImpossibleError, "2019-01-01 to 2020-12-31"),
        (["grade=3..1"], ImpossibleError, "1..3"),
        (["diagnosis="], ImpossibleError, "leave it out"),
        (["diagnosis=none", "smoker=no"], ImpossibleError, "schema show"),
        (["diagnosis=bad", "smoker=no", "grade=1"], ImpossibleError, "schema show"),
        (["drugs=400..", "ward=..300"], ImpossibleError, "schema show"),
        (["admitted=2020-05-01..", "discharged=..2020-04-01"], ImpossibleError, "schema show"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(where, kind, says):
    def never(*_):
        raise AssertionError("the network was asked")

    with pytest.raises(kind) as caught:
        sample(MIXED.table, never, 10, where)
    assert says in caught.value.hint


def test_a_missing_value_can_be_asked_for():
    assert {row["smoker"] for row in rows(drawn(50, ["smoker="]))} == {""}
    assert {row["cost"] for row in rows(drawn(50, ["cost="]))} == {""}


def test_a_hint_how_many_holds_when_it_is_followed():
    limits, where = Limits(20_000, 10, 4096), ["ward=300..302"]
    for seed in range(8):
        with pytest.raises(ImpossibleError) as caught:
            sample(MIXED.table, MIXED.chances, 5000, where, seed=seed, limits=limits)
        fewer = int(re.search(r"at most (\d+) records", caught.value.hint)[1])
        assert fewer > 5
        assert len(sample(MIXED.table, MIXED.chances, fewer, where, seed=seed, limits=limits)) == fewer


def test_no_number_is_promised_where_none_is_sure():
    limits = Limits(20_000, 10, 4096)
    assert attainable(40_000, 3, limits) == 0
    assert 0 < attainable(40_000, 300, limits) < 150
    with pytest.raises(ImpossibleError) as caught:
        sample(MIXED.table, MIXED.chances, 9000, ["ward=300..302"], "diagnosis", limits=limits)
    assert "balance" in caught.value.hint
    assert not re.search(r"\d", caught.value.hint)


def test_few_among_many_are_counted():
    some = drawn(20, ["ward=300..302"])
    assert f"{some.accepted} of {some.drawn} drawn records" in " ".join(sentences(some))
    assert "0.0%" not in " ".join(sentences(dataclasses.replace(some, drawn=42_015, accepted=5)))


@pytest.mark.parametrize("text", ["10", "+10", "10.", "1e1", "1.0E+1", "100e-1", ".1e2"])
def test_numbers_as_people_and_programs_write_them(text):
    assert {row["ward"] for row in rows(drawn(20, [f"ward={text}"]))} == {"10.0"}


def test_what_is_too_rare_ends_after_a_bounded_number_of_draws():
    never, limits = (
        ["drugs=399.99", "ward=871.3", "visits=8", "admitted=2019-05-05"],
        Limits(20_000, 10, 2000),
    )
    asked = []

    def network(latents, conditions):
        asked.append(len(latents))
        return MIXED.chances(latents, conditions)

    with pytest.raises(ImpossibleError, match=r"of \d+ drawn records") as caught:
        sample(MIXED.table, network, 50, never, limits=limits)
    assert caught.value.code == "impossible-condition"
    assert max(asked) <= 2000  # at once
    assert len(sample(MIXED.table, network, 50, limits=limits)) == 50
    with pytest.raises(ImpossibleConditionError):
        MIXED.sample(5, {"ward": "5..4"}, 0)


def test_a_category_with_dots_is_itself_before_it_is_a_range():
    content = copy.deepcopy(CONTENT)
    content["columns"][6] |= {"categories": ["a", "a..c", "c"]}
    content["constraints"] = []
    of = released.table(TableSchema.model_validate(content))
    assert {row["grade"] for row in rows(drawn(30, ["grade=a..c"], of=of))} == {"a..c"}
    assert {row["grade"] for row in rows(drawn(300, ["grade=a.."], of=of))} == {"a", "a..c", "c"}


def test_shares_follow_the_network_up_to_rounding():
    """Even drawing: the shares of a column are its expected ones, far closer than independent draws are."""
    of = released.table()
    weights = np.ones(1)
    codes = draw_groups(of.table, of.chances, np.array([[1, 0]]), weights, 32_000, np.random.default_rng(0))
    expected = of.chances(np.arange(32), np.tile([1, 0], (32, 1))).mean(0)
    widths = [of.table.widths[place] for place in of.table.generated]
    for place, share in zip(of.table.generated, np.split(expected, np.cumsum(widths)[:-1]), strict=True):
        found = np.bincount(codes[:, place], minlength=len(share)) / 32_000
        assert np.abs(found - share).max() < 1.5e-3


def test_no_record_is_no_record():
    assert len(drawn(0)) == 0
    assert rows(drawn(0)) == []
    assert json.dumps(report(drawn(0)))
