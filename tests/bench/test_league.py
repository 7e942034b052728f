"""The league with real, small runs: what systems leave is scored, what goes wrong stays in the table."""

import json
import os
import shutil
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from common.bench.league import capped, environment
from common.bench.league.measure import League, OutputError, left_in
from common.bench.league.ours import with_quantiles
from common.bench.league.results import Limits, Result
from common.bench.league.standings import print_table
from common.bench.league.systems import OURS, PEERS, System, chosen
from common.bench.league.tables import Tables
from common.errors import ConfigError
from common.evaluation.benchmark import Coder
from common.modalities.tabular import encode
from common.schema import Schema
from common.tables import write_table
from tests import toy

INDEPENDENT = PEERS[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    schema = toy.SCHEMA.model_copy(update={"subject": None, "name": "toy"})
    (folder / "schema.toml").write_text(schema.to_toml())
    for name, seed in (("train", 0), ("test", 1)):
        write_table(toy.records(1000, seed), folder / f"{name}.csv")
    return folder


@pytest.fixture(scope="module")
def tables(files):
    paths = (files / "train.csv", files / "test.csv", files / "schema.toml")
    return Tables.load(*paths, "diagnosis", ("severe",))


def league(tables, folder, *systems, minutes=2.0, gigabytes=4.0, **changed):
    settings = {
        "tables": tables,
        "systems": systems,
        "epsilons": (1.0,),
        "delta": 1e-5,
        "seeds": (0,),
        "sites": 3,
        "skew": 0.3,
        "limits": Limits(minutes=minutes, memory_bytes=round(gigabytes * 2**30), threads=1),
        "folder": folder,
        "cache": folder / "cache",
        "python": sys.executable,
        "command": "fedcgan bench league",
    }
    return League(**{**settings, **changed})


@pytest.fixture(scope="module")
def references(tables, tmp_path_factory):
    """A folder with results of real and shuffled records alone, and these."""
    folder = tmp_path_factory.mktemp("references")
    return folder, league(tables, folder).play()


@pytest.fixture
def folder(references, tmp_path):
    """A copy of it."""
    return shutil.copytree(references[0], tmp_path / "results")


def only(results, system):
    (found,) = [result for result in results if result.system == system]
    return found


def test_all_columns_are_coded_alike_and_the_label_is_last(tables):
    assert tables.coder.names[-1] == "diagnosis"
    assert "hospital" not in tables.coder.names  # the schema does not have it
    assert tables.coder.values("diagnosis") == ["mild", "none", "severe"]
    assert tables.asked.tolist() == [False, False, True]
    assert tables.wanted == 10_000
    assert (tables.train < tables.coder.sizes).all()


@pytest.mark.parametrize(
    ("name", "label"), [("adult", "income"), ("german_credit", "creditability"), ("heart_disease", "num")]
)
def test_schemas_of_public_tables_are_whole_and_condition_on_their_label(name, label):
    schema = Schema.load(environment.PEERS.parents[1] / "schemas" / f"{name}.toml")
    assert [column.name for column in schema.conditions] == [label]
    assert schema.names[-1] == label
    assert (schema.name, schema.subject) == (name, None)


def test_a_part_of_the_only_table_is_held_out_the_same_for_everybody(files):
    one, two = (
        Tables.load(files / "train.csv", None, files / "schema.toml", "diagnosis", ("severe",))
        for _ in range(2)
    )
    assert (len(one.train), len(one.test)) == (800, 200)
    assert one.digest == two.digest
    half = Tables.load(files / "train.csv", None, files / "schema.toml", "diagnosis", ("severe",), 0.5)
    assert half.digest != one.digest


def test_tables_that_cannot_be_compared_are_refused(files, tmp_path):
    paths = (files / "train.csv", files / "test.csv", files / "schema.toml")
    with pytest.raises(ConfigError, match="3 values"):
        Tables.load(*paths, "diagnosis")
    with pytest.raises(ConfigError, match="'dire'"):
        Tables.load(*paths, "diagnosis", ("dire",))
    with pytest.raises(ConfigError, match="no category column"):
        Tables.load(*paths, "age")
    (tmp_path / "subject.toml").write_text(toy.SCHEMA.to_toml())
    with pytest.raises(ConfigError, match="single records"):
        Tables.load(*paths[:2], tmp_path / "subject.toml", "diagnosis", ("severe",))
    with pytest.raises(ConfigError, match="no peer 'ctgan2'"):
        chosen(["ctgan2"])
    assert chosen(["ctgan"])[:-1] == list(OURS)


def test_same_bins_are_those_of_the_scores():
    frame = toy.records().drop(columns=["hospital", "patient"])
    schema = with_quantiles(toy.SCHEMA.model_copy(update={"subject": None}), frame)
    coder = Coder(frame, [], "diagnosis")
    theirs, ours = coder(frame), encode(frame, schema)
    for name in ("age", "cost"):
        scored, mine = theirs[:, coder.names.index(name)], ours[:, schema.names.index(name)]
        assert np.array_equal(
            np.unique(scored, return_inverse=True)[1], np.unique(mine, return_inverse=True)[1]
        )
    before = encode(frame, toy.SCHEMA)[:, toy.SCHEMA.names.index("age")]
    assert len(np.unique(before)) < len(np.unique(ours[:, schema.names.index("age")]))


def test_ours_and_the_baseline_are_played_scored_and_kept(tables, folder):
    ours = [one for one in OURS if one.name.endswith("-same-bins")]  # the others are these without their bins
    played = league(tables, folder, *ours, INDEPENDENT).play()
    assert {result.system for result in played} == {
        "real",
        "shuffled",
        "fedcgan-same-bins",
        "fedcgan-pooled-same-bins",
        "independent",
    }
    real, baseline = only(played, "real"), only(played, "independent")
    assert (real.scores.tvd1, real.scores.tvd2) == (0, 0)
    assert abs(baseline.scores.auc_boosting - 0.5) < 0.2 < real.scores.auc_boosting - 0.5
    for system in ours:
        mine = only(played, system.name)
        assert mine.status == "ok", mine.reason
        assert mine.records == 10_000
        assert mine.scores.auc_boosting > 0.7
        assert mine.scores.tvd2 < baseline.scores.tvd2
        assert 0.9 < mine.notes["epsilon"] <= 1.0
        assert mine.processor_seconds > 0.5
        assert mine.peak_bytes > 100 << 20
    assert only(played, "fedcgan-same-bins").notes["upload_bytes_per_site"] > 10_000
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}
    assert len(before) == 5
    assert league(tables, folder, *ours, INDEPENDENT).play() == played  # nothing is played twice
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.json")} == before
    print_table(played)


def test_results_are_read_as_they_were_written_and_those_of_other_data_refused(
    files, tables, folder, references
):
    assert [Result.load(folder / one.file_name) for one in references[1]] == references[1]
    paths = (files / "test.csv", files / "train.csv", files / "schema.toml")
    with pytest.raises(ConfigError, match="other data"):
        league(Tables.load(*paths, "diagnosis", ("severe",)), folder).play()
    (folder / "toy-real-seed0.json").write_text("{}")
    with pytest.raises(ConfigError, match="no result of the league"):
        league(tables, folder).play()


def test_what_goes_wrong_stays_in_the_table_and_is_played_again_when_asked(tables, folder):
    without = System(
        name="smartnoise-mst",
        title="M",
        source="",
        outside="",
        program="run_smartnoise.py",
        arguments=("mst",),
    )
    elsewhere = PEERS[-1]
    slow = league(tables, folder, INDEPENDENT, minutes=0.0001).play()
    assert only(slow, "independent").status == "timeout"
    assert only(slow, "independent").scores is None
    played = league(tables, folder, INDEPENDENT, without, elsewhere, python="/no/such/python").play()
    assert only(played, "independent").status == "timeout"  # kept
    failed = only(played, "smartnoise-mst")
    assert (failed.status, failed.scores) == ("failed", None)
    assert failed.reason.startswith("ModuleNotFoundError")
    unmade = only(played, elsewhere.name)
    assert unmade.status == "failed"
    assert "python: No such file" in unmade.reason
    assert "/no/such" not in unmade.reason
    again = league(tables, folder, INDEPENDENT).play(again=True)
    assert only(again, "independent").status == "ok"
    content = json.loads((folder / "toy-independent-epsilon1-seed0.json").read_text())
    assert content["scores"]["tvd1"] > 0
    assert content["about"]["digest"] == tables.digest
    assert content["machine"]["processors"] == os.cpu_count()
    assert content["command"] == "fedcgan bench league"


@pytest.mark.parametrize("damage", ["absent", "few", "float", "unknown", "object"])
def test_what_is_no_synthetic_table_is_not_scored(tables, tmp_path, damage):
    (tmp_path / "notes.json").write_text('{"notes": {}, "versions": {}}')
    good = np.zeros((tables.wanted, len(tables.coder.sizes)), np.int64)
    if damage != "absent":
        unknown = good + np.array(tables.coder.sizes)
        codes = {"few": good[1:], "float": good / 2, "unknown": unknown, "object": good.astype(object)}[
            damage
        ]
        np.savez(tmp_path / "synthetic.npz", codes=codes)
    with pytest.raises(OutputError):
        left_in(tmp_path, tables)
    np.savez(tmp_path / "synthetic.npz", codes=good)  # control
    assert left_in(tmp_path, tables)[0].shape == good.shape


def run(script, tmp_path, **limits):
    settings = {"seconds": 60.0, "memory": 4 << 30, **limits}
    return capped.run_capped(
        [sys.executable, "-c", script],
        environment=os.environ,
        folder=tmp_path,
        log=tmp_path / "log",
        **settings,
    )


def test_a_program_that_takes_too_long_ends_with_all_it_started(tmp_path):
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    outcome = run(script, tmp_path, seconds=3.0)
    assert (outcome.status, outcome.reason) == ("timeout", "not finished in 0.05 minutes")
    pid = int((tmp_path / "pid").read_text())
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(100):  # it is dying, or dead and not yet taken in by its new parent
        if not stat.exists() or " Z " in stat.read_text():
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("what it had started still runs")


def test_memory_is_limited_and_measured(tmp_path):
    script = "import time; x = bytearray(b'1') * (300 << 20); time.sleep({})"
    outcome = run(script.format(600), tmp_path, memory=200 << 20)
    assert outcome.status == "failed"
    assert "0.195 GiB" in outcome.reason
    fine = run(script.format(1), tmp_path)
    assert fine.status == "ok"
    assert 300 << 20 < fine.peak < 500 << 20


def test_a_program_that_fails_says_why_without_folders(tmp_path):
    outcome = run("raise OSError('no /root/secret/place/table.csv there')", tmp_path)
    assert (outcome.status, outcome.reason) == ("failed", "OSError: no table.csv there")
    assert run("import sys; sys.exit(3)", tmp_path).reason == "exit code 3"


def test_an_environment_is_made_once(tmp_path, monkeypatch):
    (tmp_path / "none.txt").write_text("# nothing\n")
    monkeypatch.setattr(environment, "PEERS", tmp_path)
    program = environment.interpreter("none.txt", tmp_path / "cache", sys.executable)
    made = program.lstat().st_mtime_ns
    assert (
        capped.run_capped(
            [str(program), "-c", "import sys; assert sys.prefix != sys.base_prefix"],
            seconds=60,
            memory=1 << 30,
            environment={},
            folder=tmp_path,
            log=tmp_path / "log",
        ).status
        == "ok"
    )
    assert environment.interpreter("none.txt", tmp_path / "cache", sys.executable) == program
    assert program.lstat().st_mtime_ns == made


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(environment.PEERS))


@pytest.mark.usefixtures("peers")
def test_the_baseline_adds_the_noise_that_its_epsilon_needs():
    from run_independent import drawn, noisy_histograms

    random, columns = np.random.default_rng(0), 4
    codes = np.zeros((500, columns), np.int64)
    sizes, epsilon = [50_000] * columns, 1.0
    noise = np.concatenate(noisy_histograms(codes, sizes, epsilon, random))
    noise[:: sizes[0]] -= 500
    assert noise.dtype.kind == "i"
    counts = [(noise == value).sum() for value in (0, 1, 2, 3)]
    for before, after in pairwise(counts):
        assert np.log(before / after) == pytest.approx(epsilon / columns, abs=0.05)
    assert np.log(counts[0] / counts[1]) < 0.5 * epsilon  # control: one column with the whole epsilon
    histograms = [np.array([0, 30, 10, -5]), np.array([-1, -2])]
    made = drawn(histograms, 4000, random)
    assert np.bincount(made[:, 0], minlength=4) / 4000 == pytest.approx([0, 0.75, 0.25, 0], abs=0.03)
    assert made[:, 1].mean() == pytest.approx(0.5, abs=0.05)  # nothing was seen: any code


@pytest.mark.usefixtures("peers")
@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_the_budget_of_mst_and_aim_gives_what_they_are_asked_for(epsilon):
    from zcdp import exponential, marginal, rho_for

    delta, rho = 1e-5, rho_for(epsilon, 1e-5)

    def exact(rho):
        """Of one Gaussian mechanism with that rho (Balle and Wang 2018, Theorem 8)."""
        shift = np.sqrt(2 * rho)
        return norm.cdf(shift / 2 - epsilon / shift) - np.exp(epsilon) * norm.cdf(
            -shift / 2 - epsilon / shift
        )

    assert exact(rho) <= delta
    assert exact(1.5 * rho) > delta  # control, and not much is given away
    random = np.random.default_rng(0)
    drawn = [exponential([0.0, 1.0], epsilon, 2.0, random) for _ in range(20_000)]
    assert np.log(np.mean(drawn) / (1 - np.mean(drawn))) == pytest.approx(epsilon / 4, abs=0.05)
    codes = np.array([[0, 2, 1], [1, 0, 1], [0, 2, 0]])
    assert marginal(codes, [2, 3, 2], (0, 1)).tolist() == [0, 0, 2, 1, 0, 0]
