"""Whom the guarantee protects: a record, or a subject with all of theirs; with variants that would not."""

import numpy as np
import pandas as pd
import pytest

from client.data import load_records
from common.contributions import histograms, pairs
from common.errors import ColumnError, MissingValueError, TooFewRecordsError
from common.holdout import new_key
from common.modalities.gram import GramFeatures
from common.modalities.layout import Layout
from common.modalities.tabular import encode
from common.records import Records
from tests import toy

LAYOUT, KEY = Layout.of(toy.SCHEMA), new_key()
FRAME = toy.records(400)


def uneven(frame: pd.DataFrame) -> pd.DataFrame:
    """Patients with one to nine rows."""
    patient = np.sort(np.random.default_rng(0).integers(0, 60, len(frame)))
    return frame.assign(patient=patient).drop(columns="hospital")


def records(frame: pd.DataFrame, by_subject: bool = True) -> Records:
    return Records.of(encode(frame, toy.SCHEMA), frame["patient"].to_numpy() if by_subject else None)


@pytest.fixture(params=["histograms", "pairs", "pairs split"])
def phi(request, tmp_path):
    if request.param == "histograms":
        return histograms(toy.SCHEMA), lambda r: histograms(toy.SCHEMA).sum(r.rows, r.weights)
    split = (4, 5) if request.param == "pairs split" else ()
    found = GramFeatures(LAYOUT, split, 0.25, 3.0)
    return found, lambda r: found.sum(LAYOUT.to_model(r.rows), r.weights)


def test_a_record_moves_a_sum_by_exactly_one(phi):
    frame = uneven(FRAME)
    whole = phi[1](records(frame, by_subject=False))
    for row in (0, 17, 399):
        without = phi[1](records(frame.drop(index=row), by_subject=False))
        assert np.linalg.norm(whole - without) == pytest.approx(1.0, abs=1e-9)


def test_a_subject_with_all_their_rows_moves_a_sum_by_at_most_one(phi):
    frame = uneven(FRAME)
    whole = phi[1](records(frame))
    moved = [
        np.linalg.norm(whole - phi[1](records(frame[frame.patient != patient])))
        for patient in frame.patient.unique()
    ]
    assert 0.3 < min(moved) <= max(moved) <= 1 + 1e-9


def test_rows_that_each_count_in_full_break_the_bound(phi):
    """Negative control: protecting rows does not protect the person behind several."""
    frame = uneven(FRAME)
    whole = phi[1](records(frame, by_subject=False))
    without = phi[1](records(frame[frame.patient != frame.patient.value_counts().index[0]], by_subject=False))
    assert np.linalg.norm(whole - without) > 1.5


def test_the_largest_coordinate_is_a_bound(phi):
    total = phi[1](records(uneven(FRAME), by_subject=False))
    assert total.max() <= len(FRAME) * phi[0].largest
    assert len(total) == phi[0].count


def test_pairs_of_a_plan_split_by_name(tmp_path):
    run = toy.run_folder(tmp_path / "run")
    measured = run.plan.measure.model_copy(update={"split": ("sex",)})
    found = pairs(toy.SCHEMA, run.plan.model_copy(update={"measure": measured}))
    assert found.split == (5,)
    assert found.classes == 2
    assert run.plan.privacy.unit == "add/remove one subject"


def everybody(plan):
    """The plan without held-out records."""
    return plan.model_copy(update={"release": plan.release.model_copy(update={"holdout": 0.0})})


def test_a_site_counts_subjects_not_rows(tmp_path):
    run = toy.run_folder(tmp_path / "run")
    path = tmp_path / "records.parquet"
    FRAME.drop(columns="hospital").to_parquet(path)  # 400 rows of 200 patients
    plan = everybody(run.plan)
    enough = plan.model_copy(update={"min_records": 200})
    assert load_records(path, toy.SCHEMA, enough, KEY).training.units == 200
    with pytest.raises(TooFewRecordsError, match="fewer than the 201 subjects"):
        load_records(path, toy.SCHEMA, plan.model_copy(update={"min_records": 201}), KEY)


def test_a_subject_is_a_text_whatever_it_looks_like(tmp_path):
    """Guessed types would make 0012 and 12 one person, and one person two in a column with both kinds."""
    run = toy.run_folder(tmp_path / "run", training=toy.config().training.model_copy(update={"rounds": 1}))
    plan = everybody(run.plan).model_copy(update={"min_records": 1, "max_records": 2**30})
    frame = FRAME.drop(columns="hospital").iloc[:6]
    path = tmp_path / "records.csv"
    frame.assign(
        patient=["0012", "12", "1e3", "1000", "99999999999999999991", "99999999999999999992"]
    ).to_csv(path, index=False)
    assert load_records(path, toy.SCHEMA, plan, KEY).training.units == 6
    many = pd.concat(
        [FRAME.drop(columns="hospital")] * 700, ignore_index=True
    )  # more than pandas reads at once
    many["patient"] = (np.arange(len(many)) % 1000).astype(str)
    many.loc[len(many) - 1, "patient"] = "X1"
    many.to_csv(path, index=False)
    assert load_records(path, toy.SCHEMA, plan, KEY).training.units == 1001
    mixed = frame.assign(patient=["7", "7", "8", "8", "8", "7"])
    mixed.to_parquet(tmp_path / "records.parquet")
    assert load_records(tmp_path / "records.parquet", toy.SCHEMA, plan, KEY).training.units == 2


def test_records_of_nobody_are_refused(tmp_path):
    run = toy.run_folder(tmp_path / "run")
    path = tmp_path / "records.parquet"
    frame = FRAME.drop(columns="hospital")
    frame.assign(patient=frame.patient.mask(frame.index == 6).astype("Int64")).to_parquet(path)
    with pytest.raises(MissingValueError, match="row 7, column 'patient'"):
        load_records(path, toy.SCHEMA, run.plan, KEY)
    frame.drop(columns="patient").to_parquet(path)
    with pytest.raises(ColumnError, match="no column 'patient'"):
        load_records(path, toy.SCHEMA, run.plan, KEY)
