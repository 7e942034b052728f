"""The command line: results on standard output, one envelope, errors with a hint, fixed exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from common.schema import Schema
from tests import toy
from tests.typed import typed

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = [
    sys.executable,
    "-c",
    "import signal, sys; from common.launch import main;"
    # a shell's background job ignores Ctrl-C, and its children inherit that
    "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())",
]
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

CONFIG = """
name = "cli"
[data]
table = "toy.csv"
schema = "toy.toml"
[sites]
count = 4
split = "dirichlet"
column = "diagnosis"
alpha = 5.0
[federation]
threshold = 3
[privacy]
epsilon = 3.0
delta = 1e-5
[model]
latent = 8
generator_hidden = [16]
discriminator_hidden = [16]
[training]
records_per_site = 60
schedule = "local"
rounds = 2
local_steps = 3
sample_rate = 0.1
fit_steps = 40
[evaluation]
target = "cost"
above = 0
"""


def fedcgan(*arguments, cwd=ROOT):
    """Run a command to its end."""
    return subprocess.run(
        [*LAUNCH, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    toy.records().drop(columns="hospital").to_csv(folder / "toy.csv", index=False)
    (folder / "toy.toml").write_text(toy.SCHEMA.to_toml())
    (folder / "toy-run.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def release(project):
    done = fedcgan("simulate", project / "toy-run.toml", "--out", project / "release")
    assert done.returncode == 0, done.stderr
    return project / "release", done


def test_simulate_shows_its_phases_and_ends_with_what_to_type_next(release):
    folder, done = release
    for phase in ("keys", "count", "measure", "fit", "train", "release"):
        assert phase in done.stderr
    assert "epsilon" in done.stderr
    assert f"fedcgan sample --from {folder}" in done.stdout.replace("\n", "")
    assert "2-way TVD" in done.stdout


def test_sample_where(release):
    folder, _ = release
    done = typed("sample", "--from", folder, "--n", 50, "--where", "diagnosis=mild", "-o", folder / "s.csv")
    assert done.returncode == 0, done.stderr
    assert set(pd.read_csv(folder / "s.csv").diagnosis) == {"mild"}
    printed = typed("sample", "--from", folder, "--n", 3).stdout.splitlines()
    assert len(printed) == 4
    enveloped = json.loads(typed("sample", "--from", folder, "--n", 3, "--json").stdout)
    assert len(enveloped["data"]["records"]) == 3


def test_a_generator_of_another_version_says_of_which(release, tmp_path):
    folder, _ = release
    description = json.loads((folder / "generator.json").read_text())
    ours = description["format"]
    (tmp_path / "generator.json").write_text(json.dumps({**description, "format": "fedcgan-generator-1"}))
    (tmp_path / "generator.safetensors").write_bytes((folder / "generator.safetensors").read_bytes())
    done = typed("sample", "--from", tmp_path, "--n", 3, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (6, "storage")
    for said in (str(tmp_path), "fedcgan-generator-1", ours):
        assert said in error["message"]
    assert "generator.onnx" in error["hint"]


@pytest.mark.parametrize(
    ("where", "hint"),
    [("diagnosis=fatal", "none, mild, severe"), ("weight=3", "age, smoker, cost"), ("sex", "e.g.")],
)
def test_an_unknown_condition_lists_the_allowed_ones(release, where, hint):
    folder, _ = release
    done = typed("sample", "--from", folder, "--where", where)
    assert done.returncode == 2
    assert hint in done.stderr
    assert done.stdout == ""


def change(old, new):
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    ("edit", "code", "exit_code", "says"),
    [
        (change("count = 4", "count = 2"), "config", 2, "sites.count"),
        (change("threshold = 3", "threshold = 5"), "config", 2, "threshold 5"),
        (change("epsilon = 3.0", "epsilon = 300"), "privacy-target", 4, "300"),
        (change("delta = 1e-5", "delta = 0.1"), "privacy-target", 4, "0.1"),
        (change("delta = 1e-5", ""), "config", 2, "privacy.delta"),
        (change("rounds = 2", "rounds = 2\nnoise = false"), "config", 2, "training.noise"),
        (change("records_per_site = 60", "records_per_site = 5000"), "data-too-few", 3, "5000"),
        (change("toy.csv", "absent.csv"), "data", 3, "absent.csv"),
        (change("toy.toml", "absent.toml"), "schema", 2, "absent.toml"),
        (change('column = "diagnosis"', 'column = "nothing"'), "config", 2, "nothing"),
        (change("[data]", "[[data"), "config", 2, "not TOML"),
        (change("threshold = 3", "threshold = 2"), "config", 2, "two different sums"),
        (change("threshold = 3", "threshold = 3\nmin_contributors = 9"), "config", 2, "min_contributors"),
        (change("latent = 8", "latent = 0"), "config", 2, "model.latent"),
        (change("[16]", "[]"), "config", 2, "generator_hidden"),
        (change("above = 0", "above = 50"), "config", 2, "cuts the bin"),
    ],
)
def test_bad_configurations(project, edit, code, exit_code, says):
    path = project / "bad.toml"
    path.write_text(edit(CONFIG))
    done = typed("simulate", path, "--out", project / "bad", "--json")
    envelope = json.loads(done.stdout)
    assert (envelope["status"], envelope["error"]["code"]) == ("error", code)
    assert done.returncode == exit_code
    assert says in envelope["error"]["message"]
    assert not (project / "bad" / "report.json").exists()


def test_an_empty_condition_class(project):
    frame = toy.records().drop(columns="hospital")
    frame[frame.diagnosis != "severe"].to_csv(project / "few.csv", index=False)
    (project / "few.toml").write_text(CONFIG.replace("toy.csv", "few.csv"))
    done = typed("simulate", project / "few.toml", "--json")
    assert json.loads(done.stdout)["error"]["code"] == "data-empty-class"
    assert "severe" in done.stdout


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [("age", None, "data-missing"), ("diagnosis", "fatal", "data-value"), ("age", 4711, "data-value")],
)
def test_a_bad_record_is_named_by_row_and_column_and_not_quoted(project, column, value, code):
    frame = toy.records().drop(columns="hospital").astype({column: object})
    frame.loc[41, column] = value
    frame.to_parquet(project / "bad.parquet") if value is None else frame.to_csv(
        project / "bad.csv", index=False
    )
    name = "bad.parquet" if value is None else "bad.csv"
    (project / "bad-record.toml").write_text(CONFIG.replace("toy.csv", name))
    done = typed("simulate", project / "bad-record.toml", "--json")
    error = json.loads(done.stdout)["error"]
    assert (error["code"], done.returncode) == (code, 3)
    assert f"row 42, column '{column}'" in error["message"]
    assert str(value) not in error["message"] or value is None


def test_an_unwritable_place(project):
    blocked = project / "blocked"
    blocked.write_text("a file where a folder should be")
    done = typed("simulate", project / "toy-run.toml", "--out", blocked / "release", "--json")
    assert done.returncode == 6
    assert json.loads(done.stdout)["error"]["code"] == "storage"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_resumes(project, stop):
    """Ctrl-C or a kill between rounds: a second run goes on, and nothing is charged twice."""
    out = project / f"stopped-{stop}"
    config = project / "long.toml"
    config.write_text(CONFIG.replace("rounds = 2", "rounds = 3") + "[release]\nevaluate_share = 0.0\n")
    process = subprocess.Popen(
        [*LAUNCH, "simulate", str(config), "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, **QUIET},
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("train") and " 1/3 " in line:
            process.send_signal(stop)
            break
    rest = process.communicate(timeout=120)[1]
    assert process.returncode == (130 if stop == signal.SIGINT else -signal.SIGKILL)
    assert ("--resume" in rest) == (stop == signal.SIGINT)
    assert not (out / "report.json").exists()
    done = typed("simulate", config, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert "keys" not in done.stderr  # what was finished is not repeated
    budget = json.loads(
        typed("site", "budget", out.with_name(out.name + ".run") / "sites" / "site-1", "--json").stdout
    )
    steps = [entry["step"] for entry in budget["data"]["entries"]]
    assert steps == ["count", "measure", *[f"train-{n:04d}" for n in range(1, 4)]]
    assert budget["data"]["epsilon_spent"] <= 3.0


def test_resume_with_another_configuration_is_refused(project, release):
    folder, _ = release
    (project / "changed.toml").write_text(CONFIG.replace("epsilon = 3.0", "epsilon = 1.0"))
    done = typed("simulate", project / "changed.toml", "--out", folder, "--resume", "--json")
    assert json.loads(done.stdout)["error"]["code"] == "config"


def test_prepare_only_leaves_the_run_folder_of_a_finished_release_alone(release, project):
    folder, _ = release
    key = project / "release.run/coordinator/identity.key"
    before = key.read_bytes()
    done = typed("simulate", project / "toy-run.toml", "--out", folder, "--prepare-only", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (6, "storage")
    assert "--prepare-only" in error["hint"]
    assert key.read_bytes() == before
    for _ in range(2):  # what was only prepared can be prepared again
        done = typed("run", project / "toy-run.toml", "--out", project / "only", "--prepare-only")
        assert done.returncode == 0, done.stderr


def test_resume_without_a_run_says_so(project):
    done = typed("simulate", project / "toy-run.toml", "--out", project / "nowhere", "--resume", "--json")
    assert json.loads(done.stdout)["error"]["code"] == "storage"


def test_schema_detect_proposes_what_the_table_fits(project):
    done = typed("schema", "detect", project / "toy.csv", "-o", project / "detected.toml")
    assert done.returncode == 2 or (project / "detected.toml").exists()
    text = (project / "detected.toml").read_text()
    assert "Declared, not measured" in text
    schema = Schema.load(project / "detected.toml")
    columns = {column.name: column for column in schema.columns}
    assert columns["age"].bounds == (0, 100)
    assert columns["cost"].bounds[1] >= toy.records().cost.max()
    assert columns["smoker"].missing
    assert [c.name for c in schema.conditions] == ["sex"]
    shown = typed("schema", "show", project / "detected.toml")
    assert "diagnosis" in shown.stdout


def test_schema_detect_writes_over_nothing(project, tmp_path):
    table, edited = tmp_path / "table.csv", tmp_path / "edited.toml"
    table.write_bytes((project / "toy.csv").read_bytes())
    edited.write_text("by hand")
    for path in (table, edited):
        before = path.read_bytes()
        done = typed("schema", "detect", table, "-o", path, "--json")
        error = json.loads(done.stdout)["error"]
        assert (done.returncode, error["code"]) == (6, "storage")
        assert str(path) in error["message"]
        assert "another name" in error["hint"]
        assert path.read_bytes() == before


def test_bench_he_prints_the_promised_keys():
    done = typed("bench", "he", "--parameters", 20000, "--repeats", 1, "--json")
    data = json.loads(done.stdout)["data"]
    for key in (
        "upload_ratio_18bit",
        "upload_ratio_14bit",
        "contribution_seconds",
        "opening_seconds",
        "combine_seconds",
        "ceremony_seconds",
        "baselines",
    ):
        assert key in data
    assert data["baselines"]["ckks_8192_60_40_40_shared_key"]["upload_ratio"] > data["upload_ratio_18bit"]


def test_help_and_version():
    assert "sample" in fedcgan("--help").stdout
    assert "budget" in fedcgan("site", "--help").stdout
    versions = json.loads(fedcgan("version", "--json").stdout)["data"]
    assert versions["tenseal"] == "0.3.18"
    assert fedcgan("nonsense").returncode == 2
