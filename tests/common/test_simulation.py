"""Splitting by subject, and files that are written whole or not at all."""

import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config import Sites, Task
from common.errors import ColumnError, ConfigError, DataError, StorageError, TooFewRecordsError
from common.evaluation.task import check_task
from common.modalities.tabular import encode
from common.schema_detect import detect
from common.simulation import prepare
from common.simulation.split import assign
from common.tables import read_table
from tests import toy

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("split", ["iid", "dirichlet", "class"])
def test_subjects_stay_together(split):
    frame = toy.records()
    sites = Sites(count=4, split=split, column=None if split == "iid" else "diagnosis", alpha=0.5)
    names, numbers = assign(frame, "patient", sites, np.random.default_rng(0))
    assert len(names) == 4
    assert set(numbers) <= set(range(4))
    assert (pd.Series(numbers).groupby(frame.patient).nunique() == 1).all()


def test_held_out_people_are_not_in_training(tmp_path):
    training, held = toy.run_folder(tmp_path / "run").tables()
    assert not set(training.patient) & set(held.patient)
    assert len(training) + len(held) == len(toy.records())
    assert len(held) / len(toy.records()) == pytest.approx(0.2, abs=0.08)


@pytest.mark.parametrize(
    ("name", "content"), [("thesis.txt", "mine"), ("config.json", '{"mine": 1}'), ("config.json", "[")]
)
def test_a_folder_with_something_else_is_no_run_folder(tmp_path, name, content):
    folder = tmp_path / "study.run"
    folder.mkdir()
    (folder / name).write_text(content)
    with pytest.raises(StorageError, match=r"study\.run.* something else") as refused:
        toy.run_folder(folder)
    assert "--out" in refused.value.hint
    assert [path.read_text() for path in folder.iterdir()] == [content]


def test_a_link_or_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.run").symlink_to(tmp_path / "there")
    (tmp_path / "file.run").write_text("mine")
    for name in ("link.run", "file.run"):
        with pytest.raises(StorageError, match="no folder"):
            toy.run_folder(tmp_path / name)
    assert (tmp_path / "file.run").read_text() == "mine"


def test_a_run_that_was_cut_off_anywhere_is_made_anew(tmp_path, monkeypatch):
    folder = tmp_path / "study.run"
    folder.mkdir()  # an empty one is taken
    with monkeypatch.context() as cut:
        cut.setattr(prepare, "_make_site", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            toy.run_folder(folder)
    assert not (folder / "plan.json").exists()
    first = toy.run_folder(folder).plan
    assert toy.run_folder(folder).plan.hash != first.hash


def test_dirichlet_skews_and_iid_does_not():
    frame = toy.records(4000)

    def spread(**kind):
        _, numbers = assign(frame, "patient", Sites(count=4, **kind), np.random.default_rng(0))
        shares = pd.crosstab(numbers, frame.diagnosis, normalize="index")
        return float(shares.std().max())

    assert spread(split="dirichlet", column="diagnosis", alpha=0.3) > 3 * spread(split="iid")


def by_class(frame, count):
    sites = Sites(count=count, split="class", column="diagnosis")
    names, numbers = assign(frame, "patient", sites, np.random.default_rng(0))
    assert len(names) == count
    first = frame.groupby("patient").diagnosis.transform("first")
    return pd.crosstab(numbers, first).reindex(range(count), fill_value=0)


def test_a_site_has_subjects_of_one_class_and_classes_have_sites_by_their_size():
    frame = toy.records(4000)
    held = by_class(frame, 12)
    assert ((held > 0).sum(axis=1) == 1).all()
    sites, rows = (held > 0).sum(), held.sum()
    assert sites.sum() == 12
    assert sites.min() >= 1
    assert sites.to_numpy() == pytest.approx(12 * rows.to_numpy() / len(frame), abs=1)
    for name in held:  # and a class is spread evenly, two rows a subject
        mine = held[name][held[name] > 0]
        assert mine.max() - mine.min() <= 2
    rare = frame.assign(diagnosis=frame.diagnosis.where(frame.patient > 3, "rare"))
    assert (by_class(rare, 4) > 0).sum().tolist() == [1, 1, 1, 1]


def test_with_fewer_sites_than_classes_classes_stay_whole():
    frame = toy.records(4000)
    names = np.array(["a"] * 1000 + ["b"] * 1600 + ["c"] * 800 + ["d"] * 600)
    held = by_class(frame.assign(diagnosis=names), 3)
    assert ((held > 0).sum() == 1).all()
    assert sorted(held.sum(axis=1)) == [1000, 1400, 1600]


@pytest.mark.parametrize("split", ["dirichlet", "class"])
def test_a_split_by_a_column_names_one_that_exists(split):
    with pytest.raises(ValueError, match="needs a column"):
        Sites(count=4, split=split)
    sites = Sites(count=4, split=split, column="ward")
    with pytest.raises(ConfigError, match="no column 'ward'"):
        assign(toy.records(), "patient", sites, np.random.default_rng(0))


def test_a_row_without_a_site_is_not_another_number_of_sites():
    sites, random = Sites(count=4, split="column", column="hospital"), np.random.default_rng(0)
    frame = toy.records(100)
    frame.loc[[3, 5], "hospital"] = None
    with pytest.raises(ConfigError, match="no value in 2 rows") as caught:
        assign(frame, None, sites, random)
    assert caught.value.hint
    with pytest.raises(ConfigError, match="into 4 sites, the configuration says 3") as caught:
        assign(toy.records(100), None, sites.model_copy(update={"count": 3}), random)
    assert "count = 4" in caught.value.hint


def test_a_table_without_a_row_is_refused_with_a_hint():
    with pytest.raises(TooFewRecordsError, match="no rows") as caught:
        assign(toy.records().iloc[:0], "patient", Sites(count=4), np.random.default_rng(0))
    assert caught.value.hint


def test_a_column_that_does_not_give_the_promised_sites_is_refused():
    sites = Sites(count=5, split="column", column="hospital")
    with pytest.raises(ConfigError, match="4 sites"):
        assign(toy.records(), "patient", sites, np.random.default_rng(0))


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"a,b\n1,2,3\n4,5,6,7\n", b"\xff\xfe\x00"])
def test_files_that_are_no_tables(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    try:
        frame = read_table(path, toy.SCHEMA)
    except DataError:
        return
    with pytest.raises(DataError):
        encode(frame, toy.SCHEMA)


def test_rows_with_more_fields_than_the_header_are_not_shifted(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("age,sex\n7,30,female\n8,31,male\n")
    with pytest.raises(ColumnError, match="more fields"):
        read_table(path)


def test_a_column_that_stands_twice_is_refused_and_x_1_is_not(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,x\n1,2\n")
    with pytest.raises(ColumnError, match="twice"):
        read_table(path)
    path.write_text("x,x.1\n1,2\n")
    assert list(read_table(path).columns) == ["x", "x.1"]


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.zip", ".csv.zst", ".csv.bz2"])
def test_damaged_compressed_tables(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    path.write_bytes(b"\x1f\x8b\x08 this is no archive")
    with pytest.raises(DataError):
        read_table(path)


def test_the_text_na_is_a_value_in_csv_as_in_parquet(tmp_path):
    frame = pd.DataFrame({"country": ["NA", "DE", None], "n": [1, 2, 3]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    for name in ("t.csv", "t.parquet"):
        assert read_table(tmp_path / name).country.isna().tolist() == [False, False, True]


@pytest.mark.parametrize("value", ["../../outside", "St. Mary's east", "a/b", "x" * 200, ""])
def test_site_folders_never_take_names_from_records(value):
    frame = toy.records()
    frame["hospital"] = frame.hospital.replace("north", value)
    sites = Sites(count=4, split="column", column="hospital")
    names, _ = assign(frame, "patient", sites, np.random.default_rng(0))
    assert names == ["site-1", "site-2", "site-3", "site-4"]


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (Task(target="nothing", above=0), "no column"),
        (Task(target="cost", equals="x"), "give 'above'"),
        (Task(target="cost", above=50), "cuts the bin"),
        (Task(target="sex", equals="other"), "female, male"),
        (Task(target="sex", equals="male", exclude=tuple(toy.SCHEMA.names)), "every column"),
    ],
)
def test_evaluations_that_cannot_be_done_are_refused_before_a_run(tmp_path, task, says):
    with pytest.raises(ConfigError) as caught:
        toy.run_folder(tmp_path / "run", evaluation=task)
    assert says in caught.value.message + caught.value.hint


def test_a_bin_that_starts_at_an_atom_is_above_it():
    """Codes of cost: the atom 0, then bins from 0 that never hold 0."""
    position, _, positive = check_task(toy.SCHEMA, Task(target="cost", above=0))
    assert toy.SCHEMA.names[position] == "cost"
    assert positive.tolist() == [False, True, True, True, True]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": ["x", "y"]}),
        pd.DataFrame({"a": ["x", "y"], "b": [np.nan, np.nan]}),
        pd.DataFrame({"a": ["x", "y"], "b": [1.0, np.inf]}),
        pd.DataFrame({"a": ["x", "y"], "b": [1e300, 1.0]}),
        pd.DataFrame({"a": ["x", "x"], "b": [1, 2]}),
        pd.DataFrame({"a": [1.5, 2.5], "b": [3.5, 4.5]}),
        pd.DataFrame({"a": [], "b": []}),
    ],
)
def test_tables_no_schema_can_be_proposed_for(frame):
    with pytest.raises(DataError):
        detect(frame, "t")


@given(
    st.lists(st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: round(x, 3)), min_size=3, max_size=30),
    st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_what_is_detected_fits_its_own_table(values, seed):
    random = np.random.default_rng(seed)
    values = [*values, 0.0, 0.0]
    frame = pd.DataFrame({"v": values, "c": random.permutation(["x", "y"] * len(values))[: len(values)]})
    frame.loc[:1, "c"] = ["x", "y"]
    encode(frame, detect(frame, "t"))


def test_a_parquet_file_that_is_none(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError):
        read_table(path)


FULL_DISK = """
    import resource, sys
    from pathlib import Path
    import pandas as pd
    from common.errors import StorageError
    from common.tables import write_table
    frame = pd.DataFrame({"x": range(100_000)})
    path = Path(sys.argv[1])
    path.write_text("what was there before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        write_table(frame, path)
    except StorageError as error:
        print(error.code, error.hint)
"""


def test_a_full_disk_is_a_typed_error_and_leaves_what_was_there(tmp_path):
    """The operating system refuses to let the file grow, as a full disk does."""
    path = tmp_path / "out.csv"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("storage free some space"), done.stderr
    assert path.read_text() == "what was there before"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    assert resource.RLIMIT_FSIZE is not None
