"""The scores of ``fedcgan bench quality``: what they say of tables whose answer is known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from common.bench.quality import measure
from common.errors import ConfigError
from common.evaluation.benchmark import Coder, scores, shuffled_columns, tvd
from common.modalities.tabular import encode
from common.schema import Schema
from common.tables import read_table
from tests import toy
from tests.typed import typed

ROOT = Path(__file__).resolve().parents[2]
ADULT = ROOT.parent / "shared" / "data" / "adult"


def table(count: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Three columns that depend on each other only through their product's sign."""
    random = np.random.default_rng(seed)
    a, b = random.integers(0, 2, (2, count))
    frame = pd.DataFrame({"a": a.astype(str), "b": b.astype(str), "x": random.normal(size=count)})
    frame.loc[::50, "x"] = np.nan
    frame["label"] = np.where(a ^ b, "yes", "no")
    return frame


@pytest.fixture(scope="module")
def coded():
    train, test = table(), table(seed=1)
    coder = Coder(train, [test], "label")
    return coder(train), coder(test), coder.sizes


def test_codes_have_the_sizes_they_say(coded):
    train, test, sizes = coded
    assert sizes == [2, 2, 21, 2]
    assert (train.max(axis=0) < sizes).all()
    assert (test.max(axis=0) < sizes).all()
    assert (train[::50, 2] == 20).all()  # missing is a code of its own


def test_a_table_is_at_no_distance_from_itself_and_three_way_structure_is_seen(coded):
    train, _, sizes = coded
    assert [tvd(train, train, sizes, order) for order in (1, 2, 3)] == [0, 0, 0]
    shuffled = shuffled_columns(train)
    one, two, three = (tvd(train, shuffled, sizes, order) for order in (1, 2, 3))
    assert one == 0
    assert two < 0.06  # the xor is invisible in pairs
    assert three > two + 0.1


def test_two_way_distance_by_hand():
    left, right = np.array([[0, 0], [1, 1]]), np.array([[0, 1], [1, 0]])
    assert tvd(left, right, [2, 2], 1) == 0
    assert tvd(left, right, [2, 2], 2) == 1


def test_real_records_score_well_and_shuffled_ones_do_not(coded):
    train, test, sizes = coded
    real, broken = scores(train, test, train, sizes), scores(train, test, shuffled_columns(train), sizes)
    assert real["auc_boosting"] > 0.99
    assert abs(broken["auc_boosting"] - 0.5) < 0.1
    assert abs(real["auc_logistic"] - 0.5) < 0.1  # a linear model cannot learn the xor
    assert abs(real["c2st"] - 0.5) < 0.05
    assert broken["c2st"] > real["c2st"] + 0.05
    assert scores(train, test, train[train[:, -1] == 0], sizes)["auc_boosting"] == 0.5  # one class only


def test_records_dealt_by_a_seed_are_not_put_in_order_again_by_the_same_seed():
    """Even records in the order of seed 0; folds of that seed would each lack a stretch of them: 0.17."""
    made = np.zeros(6000, np.int64)
    made[np.random.default_rng(0).permutation(6000)] = np.repeat(np.arange(1500), 4)
    real = np.random.default_rng(5).integers(0, 1500, 3000)
    wide, truth = (np.stack([column, column % 3, column % 2], axis=1) for column in (made, real))
    assert abs(scores(truth, truth, wide, [1500, 3, 2])["c2st"] - 0.5) < 0.05


@pytest.fixture
def files(tmp_path):
    frame = toy.records(2400).drop(columns=["hospital", "patient"])
    frame[:2000].to_csv(tmp_path / "train.csv", index=False)
    frame[2000:].to_csv(tmp_path / "test.csv", index=False)
    schema = toy.SCHEMA.model_copy(update={"subject": None})
    (tmp_path / "toy.toml").write_text(schema.to_toml())
    return tmp_path


def test_the_command_runs_a_federation_and_prints_the_keys(files):
    command = ["bench", "quality", "--json", "--sites", "3"]
    command += ["--train", files / "train.csv", "--test", files / "test.csv", "--schema", files / "toy.toml"]
    command += ["--label", "sex", "--epsilon", "3", "--skew", "5", "--central"]
    done = typed(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["data"]
    keys = (
        "tvd1",
        "tvd2",
        "tvd3",
        "auc_boosting",
        "auc_logistic",
        "c2st",
        "seconds",
        "upload_bytes_per_site",
    )
    assert all(found[key] is not None for key in keys)
    assert found["baselines"]["real"]["tvd2"] == 0
    assert 2.9 < found["epsilon"] <= 3.0
    assert found["epsilon_views"]["released"] < found["epsilon"] < found["epsilon_views"]["all_others"]
    assert abs(found["tvd2"] - found["baselines"]["central"]["tvd2"]) < 0.05
    assert found["schedule"] == "moments"


@pytest.mark.parametrize(
    ("label", "sites", "match"), [("none", 3, "no column"), ("diagnosis", 6, "holds no record")]
)
def test_what_cannot_be_measured_is_refused(files, label, sites, match):
    paths = (files / "train.csv", files / "test.csv", files / "toy.toml")
    with pytest.raises(ConfigError, match=match):
        measure(*paths, label, 3.0, 1e-5, sites, 0.003, "moments", None, 0, central=False)


@pytest.mark.skipif(not ADULT.exists(), reason="UCI Adult is not at ../shared/data/adult")
def test_the_schema_of_adult_fits_adult():
    schema = Schema.load(ROOT / "common" / "schemas" / "adult.toml")
    for name in ("train", "test"):
        frame = read_table(ADULT / f"adult_{name}.csv", schema)
        assert encode(frame, schema).shape == (len(frame), 15)
