"""Who is kept out of training: by subject, by a secret of the site, the same for every run."""

import numpy as np
import pytest

from client.data import split_records
from common.errors import CryptoError
from common.holdout import KEY_FILE, held_out, make_site_key, new_key, site_key
from common.tables import write_table
from tests import toy

KEY = new_key()


def test_a_subject_is_on_one_side_and_about_a_fifth_are_held_out():
    subjects = np.repeat(np.arange(5000), 3).astype(str)
    held = held_out(subjects, len(subjects), 0.2, KEY, "records.csv")
    sides = held.reshape(5000, 3)
    assert (sides == sides[:, :1]).all()
    assert held.mean() == pytest.approx(0.2, abs=5 * (0.16 / 5000) ** 0.5)
    # control: told apart by their rows, subjects would be torn in two
    by_row = held_out(None, len(subjects), 0.2, KEY, "records.csv").reshape(5000, 3)
    assert (by_row != by_row[:, :1]).any(1).mean() > 0.3


def test_sides_stay_and_depend_on_the_secret_alone():
    subjects = np.arange(4000).astype(str)
    held = held_out(subjects, 4000, 0.2, KEY, "one.csv")
    assert (held == held_out(subjects, 4000, 0.2, KEY, "two.csv")).all()
    shuffled = np.random.default_rng(0).permutation(4000)
    assert (held[shuffled] == held_out(subjects[shuffled], 4000, 0.2, KEY, "one.csv")).all()
    other = held_out(subjects, 4000, 0.2, new_key(), "one.csv")
    assert np.mean(other[held]) == pytest.approx(0.2, abs=0.08)  # independent coins
    assert (held <= held_out(subjects, 4000, 0.3, KEY, "one.csv")).all()


def test_rows_of_nobody_draw_anew_in_another_file():
    one, two = (held_out(None, 4000, 0.5, KEY, name) for name in ("records.csv", "records-2.csv"))
    assert np.mean(one == two) == pytest.approx(0.5, abs=0.05)
    assert (one[:100] == held_out(None, 100, 0.5, KEY, "records.csv")).all()


def test_nobody_and_hardly_anybody():
    assert not held_out(None, 100, 0.0, KEY, "x").any()
    assert held_out(None, 1000, 0.89, KEY, "x").mean() > 0.8


def test_the_sites_secret_is_made_once_and_for_its_owner_alone(tmp_path):
    with pytest.raises(CryptoError, match="there is no"):
        site_key(tmp_path)
    for folder in (tmp_path, tmp_path / "other"):
        make_site_key(folder)
    key = site_key(tmp_path)
    make_site_key(tmp_path)
    assert site_key(tmp_path) == key != site_key(tmp_path / "other")
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(CryptoError):
        site_key(tmp_path)
    (tmp_path / KEY_FILE).chmod(0o600)
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(CryptoError, match="damaged"):
        site_key(tmp_path)


def test_a_sites_records_are_split_by_patient(tmp_path):
    frame = toy.records(600).drop(columns="hospital")
    path = tmp_path / "records.parquet"
    write_table(frame, path)
    split = split_records(path, toy.SCHEMA, 0.25, KEY, allow_identified=False)
    assert len(split.training.rows) + len(split.held_out.rows) == 600
    assert split.training.units + split.held_out.units == 300
    held = held_out(frame.patient.astype(str).to_numpy(), 600, 0.25, KEY, path.name)
    assert split.held_out.units == frame[held].patient.nunique()
