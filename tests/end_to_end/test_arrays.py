"""Images and signals through the command line: from files to a release, samples, refusals and going on."""

import contextlib
import functools
import io
import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from client.data import load_records
from common.config import SimulationConfig, Training
from common.contributions import array_features, encoding
from common.event_log import run_log
from common.events import Looked
from common.launch import main
from common.modalities import image_output, signal_output
from common.modalities.array_files import read_arrays
from common.plan import Plan
from common.planning import make_plan, stand_in
from common.privacy.accounting import epsilon
from common.records import Records
from common.schema import Channel, ImageSchema, Schema, SignalSchema, of_kind
from common.simulation import array_report
from common.simulation.prepare import prepare
from server import release
from server.checkpoint import Checkpoint
from tests import toy_arrays
from tests.federation import LocalFederation


def looks(out: Path) -> list[Looked]:
    """What the log of the run beside ``out`` says was looked at."""
    events, _ = run_log(Path(f"{out}.run")).read()
    return [event for event in events if isinstance(event, Looked)]


DOCS = Path(__file__).resolve().parents[2] / "docs"

MOVES = SignalSchema(
    kind="signal",
    name="moves",
    subject="person",
    label=toy_arrays.WAVES.label.model_copy(update={"name": "shape", "categories": ("sine", "saw")}),
    sampling_rate=100.0,
    length=128,
    channels=tuple(Channel(name=name, unit="g", bounds=(-2, 2)) for name in "xyz"),
)
NOBODYS = MOVES.model_copy(update={"subject": None})  # as generated records are

CONFIG = """
name = "arrays"
[data]
records = "RECORDS"
schema = "SCHEMA"
[sites]
count = 3
split = "dirichlet"
column = "COLUMN"
alpha = 50.0
[federation]
threshold = 2
[privacy]
epsilon = 10.0
delta = 1e-5
[model]
latent = 8
generator_hidden = [32]
discriminator_width = 4
[features]
coefficients = 8
plain = 40
windowed = 20
fit_batch = 16
[training]
records_per_site = 20
fit_steps = 20
"""
DIGITS = CONFIG.replace("SCHEMA", "digits.toml").replace("COLUMN", "digit")
SIGNALS = CONFIG.replace("SCHEMA", "moves.toml").replace("COLUMN", "shape")
EVERY_STEP = 'fit_steps = 20\nschedule = "every-step"\nrounds = 3\nsample_rate = 0.2'
LOCAL = (
    'fit_steps = 20\nschedule = "local"\nrounds = 2\nlocal_steps = 1\ngenerator_steps = 1\nsample_rate = 0.2'
)


class Done:
    """What a command returned and printed."""

    def __init__(self, *arguments: object) -> None:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
            patch.setattr(sys, "argv", ["fedcgan", *map(str, arguments)])
            patch.setattr(sys, "path", list(sys.path))
            # figures of quality take most of a small run's time, and are tested elsewhere
            patch.setattr(release, "_FEWEST_RECORDS", 200)
            quick = functools.partial(array_report.image_scores, reference=400)
            patch.setattr(array_report, "image_scores", quick)
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            self.code = main()
        self.out, self.err = out.getvalue(), err.getvalue()

    @property
    def data(self):
        assert self.code == 0, self.out + self.err
        return json.loads(self.out)["data"]

    @property
    def error(self):
        assert self.code, self.out
        return json.loads(self.out)["error"]


def moves(count: int = 240):
    """Sines and saws of three frequencies, two records a person."""
    random, time = np.random.default_rng(0), np.arange(128) / 100
    labels = np.arange(count) % 2
    phase = np.array([1.0, 2.0, 4.0])[:, None] * time
    clean = np.stack([np.sin(2 * np.pi * phase), 4 * np.abs(phase % 1 - 0.5) - 1])[labels]
    values = clean * random.uniform(0.5, 1, (count, 1, 1)) + random.normal(0, 0.05, clean.shape)
    people = np.array([f"person-{number // 2:03d}" for number in range(count)])
    return values.astype(np.float32), np.array(MOVES.label.categories)[labels], people


def size(path):
    with Image.open(path) as picture:
        return picture.size


def write_parquet(path, values, labels, people):
    columns = {"shape": labels, "person": people}
    columns |= {name: list(values[:, place]) for place, name in enumerate("xyz")}
    pq.write_table(pa.table(columns), path)


def write_digits(folder, count=300):
    digits = toy_arrays.digits()
    for number in range(count):
        place = folder / str(digits.labels[number])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.values[number, 0]).save(place / f"{number:04d}.png")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    write_digits(folder / "digits")
    write_parquet(folder / "moves.parquet", *moves())
    values, labels, people = moves()
    np.savez(folder / "moves.npz", x=values, y=labels, subject=people, sampling_rate=100.0)
    (folder / "digits.toml").write_text(toy_arrays.DIGITS.to_toml())
    (folder / "moves.toml").write_text(MOVES.to_toml())
    (folder / "digits-run.toml").write_text(DIGITS.replace("RECORDS", "digits"))
    (folder / "moves-run.toml").write_text(SIGNALS.replace("RECORDS", "moves.parquet"))
    return folder


@pytest.fixture(scope="module")
def digits(project):
    done = Done("simulate", project / "digits-run.toml", "--out", project / "digit-release")
    assert done.code == 0, done.err
    return project / "digit-release", done


@pytest.fixture(scope="module")
def signals(project):
    done = Done("run", project / "moves-run.toml", "--out", project / "move-release", "--json")
    return project / "move-release", done.data


def ledger(out, site="site-1"):
    return Done("site", "budget", f"{out}.run/sites/{site}", "--json").data


def test_a_folder_of_pictures_becomes_a_release(digits):
    out, done = digits
    names = {path.name for path in out.iterdir()}
    assert names == {
        "evaluation.json",
        "synthetic.npz",
        "gallery.png",
        "generator.safetensors",
        "generator.json",
        "generator.onnx",
        "report.json",
        "sums.safetensors",
    }
    for phase in ("keys", "measure", "fit", "release"):
        assert phase in done.err
    assert "count " not in done.err
    assert "domain FID" in done.out
    assert f"fedcgan sample --from {out} --interpolate" in done.out.replace("\n", "")
    report = json.loads((out / "report.json").read_text())
    assert report["epsilon"] <= 10.0
    assert report["unit"] == "add/remove one record"
    assert report["records"]["training"] + report["records"]["held_out"] == 300
    assert report["records"]["held_out"] == pytest.approx(60, abs=35)  # each site draws them
    assert {"accuracy", "accuracy_real", "domain_fid", "recognised", "alarms"} <= set(report)
    assert report["count_noise_multiplier"] is None
    assert image_output.is_marked(out / "synthetic.npz")
    assert image_output.is_marked(out / "gallery.png")
    assert size(out / "gallery.png") == (302, 302)
    made = read_arrays(out / "synthetic.npz", toy_arrays.DIGITS)
    assert len(made) == report["records"]["synthetic"] >= 200
    shares = np.bincount(made.labels, minlength=10) / len(made)
    assert shares == pytest.approx(json.loads((out / "generator.json").read_text())["prior"], abs=0.01)


def test_what_may_be_watched_lies_with_the_coordinator(digits):
    out, _ = digits
    folder = Path(f"{out}.run") / "coordinator"
    assert [look.step for look in looks(out)] == ["fit"]
    assert image_output.is_marked(folder / "samples" / "fit.png")


def test_signals_in_parquet_become_a_release(signals):
    out, report = signals
    assert report["unit"] == "add/remove one subject"
    assert {"accuracy", "macro_f1", "tstr_over_trtr", "logistic"} <= set(report)
    assert report["records"]["training"] + report["records"]["held_out"] == 240
    evaluation = Path(f"{out}.run") / "evaluation"
    table = pd.read_csv(evaluation / "features.csv")
    assert set(table["channel"]) == {"x", "y", "z"}
    assert set(table["shape"]) == {"sine", "saw"}
    for name in ("components.png", "side-by-side.png"):
        assert size(evaluation / name)[0] > 100
    assert signal_output.is_marked(out / "synthetic.npz")
    assert signal_output.is_marked(out / "gallery.png")
    assert read_arrays(out / "synthetic.npz", NOBODYS).values.shape[1:] == (3, 128)


@pytest.mark.parametrize("kind", ["digits", "signals"])
def test_every_key_of_a_report_is_explained(kind, request):
    report = json.loads((request.getfixturevalue(kind)[0] / "report.json").read_text())
    text = (DOCS / "report.md").read_text()
    assert [key for key in report if f"`{key.removesuffix('_real')}" not in text] == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("--where", "digit=3", "--n", 20), "x.npz"),
        (("--where", "digit=3", "--n", 20), "grid.png"),
        (("--n", 50), "all.png"),
        (("--interpolate", 6), "between.png"),
    ],
)
def test_sampled_pictures_are_marked_and_the_same_for_the_same_seed(digits, tmp_path, arguments, name):
    out, _ = digits
    command = ("sample", "--from", out, *arguments, "--json")
    assert Done(*command, "-o", tmp_path / name).data["path"] == str(tmp_path / name)
    Done(*command, "-o", tmp_path / f"2{name}")
    assert (tmp_path / name).read_bytes() == (tmp_path / f"2{name}").read_bytes()
    Done(*command, "-o", tmp_path / f"3{name}", "--seed", 1)
    assert (tmp_path / name).read_bytes() != (tmp_path / f"3{name}").read_bytes()
    assert image_output.is_marked(tmp_path / name)
    if name == "x.npz":
        assert set(read_arrays(tmp_path / name, toy_arrays.DIGITS).labels) == {3}
    if name == "between.png":
        assert size(tmp_path / name) == (6 * 30 + 2, 10 * 30 + 2)
    if name == "grid.png":
        assert size(tmp_path / name) == (10 * 30 + 2, 30 + 2)


def test_sampled_folders_can_be_read_back(digits, tmp_path):
    out, _ = digits
    command = ("sample", "--from", out, "--where", "digit=3", "--n", 20, "-o", tmp_path / "folder", "--json")
    assert Done(*command).data["records"] == 20
    files = sorted((tmp_path / "folder").rglob("*.png"))
    assert len(files) == 20
    assert all(image_output.is_marked(file) for file in files)
    assert set(read_arrays(tmp_path / "folder", toy_arrays.DIGITS).labels) == {3}
    assert Done(*command).error["code"] == "storage"  # images of two runs do not mix


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("--n", 9), "x.npz"),
        (("--n", 9), "x.parquet"),
        (("--n", 9), "x.png"),
        (("--n", 1), "x.png"),
        (("--n", 9, "--where", "shape=saw"), "x.png"),
        (("--interpolate", 3), "x.png"),
    ],
)
def test_sampled_signals(signals, tmp_path, arguments, name):
    out, _ = signals
    for path in (tmp_path / name, tmp_path / f"2{name}"):
        assert Done("sample", "--from", out, *arguments, "-o", path).code == 0
    assert (tmp_path / name).read_bytes() == (tmp_path / f"2{name}").read_bytes()
    assert signal_output.is_marked(tmp_path / name)
    if not name.endswith(".png"):
        made = read_arrays(tmp_path / name, NOBODYS)
        assert made.values.shape == (9, 3, 128)
        assert np.abs(made.values).max() <= 2


@pytest.mark.parametrize(
    ("kind", "arguments", "code", "says"),
    [
        ("digits", (), "config", "--out"),
        ("digits", ("-o", "x.csv"), "config", "x.csv"),
        ("digits", ("-o", "x.parquet"), "config", "x.parquet"),
        ("signals", ("-o", "folder"), "config", "folder"),
        ("digits", ("-o", "x.npz", "--where", "digit=11"), "unknown-condition", "11"),
        ("digits", ("-o", "x.npz", "--where", "letter=a"), "unknown-condition", "letter"),
        ("digits", ("-o", "x.npz", "--interpolate", 4), "config", "picture"),
        (
            "digits",
            ("-o", "x.png", "--interpolate", 4, "--where", "digit=11"),
            "config",
            "row for each class",
        ),
        ("digits", ("-o", "x.npz", "--n", 0), "usage", "--n"),
    ],
)
def test_samples_that_cannot_be_drawn(request, tmp_path, monkeypatch, kind, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    done = Done("sample", "--from", request.getfixturevalue(kind)[0], *arguments, "--json")
    assert done.error["code"] == code
    assert says in done.error["message"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["digits", "signals"])
def test_a_release_becomes_a_page(request, tmp_path, kind):
    out, _ = request.getfixturevalue(kind)
    Done("report", out, "-o", tmp_path / "page.html", "--json").data  # noqa: B018 - it fails unless done
    twin = json.loads((tmp_path / "page.evidence.json").read_text("utf-8"))
    page = (tmp_path / "page.html").read_text("utf-8")
    assert twin["reference"] is None
    assert twin["comparison"]["projection"]["reference"] is None
    assert ("data:image/png" in page) == (kind == "digits")
    assert ("Spectrum of" in page) == (kind == "signals")


@pytest.mark.parametrize(("kind", "shown"), [("digits", "28 x 28"), ("moves", "128 samples at 100 Hz")])
def test_schema_show(project, kind, shown):
    assert shown in Done("schema", "show", project / f"{kind}.toml").out
    data = Done("schema", "show", project / f"{kind}.toml", "--json").data
    assert data["hash"] == Schema.load(project / f"{kind}.toml").hash


@pytest.mark.parametrize("kind", ["digits", "signals"])
def test_the_estimate_is_what_a_run_costs(project, request, kind):
    out, _ = request.getfixturevalue(kind)
    report = json.loads((out / "report.json").read_text())
    config = {"digits": "digits-run.toml", "signals": "moves-run.toml"}[kind]
    foretold = Done("plan", "estimate", project / config, "--json").data
    for way, key in (("up", "site_up"), ("down", "site_down")):
        busiest = max(count[way] for count in report["bytes"].values())
        assert foretold["bytes"][key] == pytest.approx(busiest, rel=0.05)
    assert foretold["epsilon"] == report["epsilon"]
    assert list(foretold["sums"]) == ["measure", "evaluate"]
    assert all(value >= 0 for value in foretold["seconds"].values())


def test_an_npz_and_recordings_with_an_index_give_the_same_records(project):
    edfio = pytest.importorskip("edfio")
    values, labels, people = moves()
    rows = []
    for number in range(0, len(values), 2):  # a recording for each person, two records in it
        name = f"recording-{number:03d}.edf"
        both = np.concatenate([values[number], values[number + 1]], axis=1).astype(np.float64)
        channels = [
            edfio.EdfSignal(both[place], 100.0, label=name, physical_dimension="g", physical_range=(-2, 2))
            for place, name in enumerate("xyz")
        ]
        edfio.Edf(channels, data_record_duration=0.64).write(project / name)
        for record in (0, 1):
            rows.append((name, labels[number + record], people[number + record], 128 * record))
    table = pd.DataFrame(rows, columns=["path", "shape", "person", "start"])
    table.to_csv(project / "recordings.csv", index=False)
    held = {}
    for source in ("moves.parquet", "moves.npz", "recordings.csv"):
        (project / "source.toml").write_text(SIGNALS.replace("RECORDS", source))
        out = project / f"from-{source.partition('.')[0]}{len(held)}"
        Done("run", project / "source.toml", "--out", out, "--prepare-only", "--json").data  # noqa: B018
        held[source] = [
            read_arrays(site / "records.npz", MOVES) for site in sorted(Path(f"{out}.run/sites").iterdir())
        ]
    for parquet, npz, recorded in zip(*held.values(), strict=True):
        assert (parquet.values == npz.values).all()
        assert (parquet.subjects == npz.subjects).all()
        assert (parquet.subjects == recorded.subjects).all()
        assert (parquet.labels == recorded.labels).all()
        assert np.abs(parquet.values - recorded.values).max() < 1e-4  # EDF has 16 bits


def test_every_step_with_views_stops_and_goes_on_without_charging_twice(project):
    text = DIGITS.replace("RECORDS", "digits").replace("fit_steps = 20", EVERY_STEP)
    (project / "views.toml").write_text(text + "[augment]\ncount = 2\nrotate = 10\nshift = 1\n")
    command = ("simulate", project / "views.toml", "--out", project / "views")
    keep = Checkpoint.save

    def die(state):
        keep(state)
        if state.rounds_done == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", die)
        stopped = Done(*command)
    assert stopped.code == 130
    assert "--resume" in stopped.err
    assert not (project / "views").exists()
    done = Done(*command, "--resume")
    assert done.code == 0, done.err
    assert "keys" not in done.err
    plan = Plan.from_json((project / "views.run" / "plan.json").read_bytes())
    assert plan.measure.views.count == 2
    for site in plan.federation.names:
        budget = ledger(project / "views", site)
        assert [entry["step"] for entry in budget["entries"]] == list(plan.steps)
        assert budget["epsilon_spent"] <= 10.0
    coordinator = project / "views.run" / "coordinator"
    seen = looks(project / "views")
    # what is watched comes after the checkpoint: the look at step 2 was lost with the process
    assert [look.step for look in seen] == ["fit", "train-0001", "train-0003"]
    assert 0 <= seen[-1].fakes_told <= 1
    assert seen[-1].generator_steps > 0
    for path in [*(coordinator / "samples").glob("*.png")]:
        assert image_output.is_marked(path)
    assert {path.stem for path in (coordinator / "samples").iterdir()} == {look.step for look in seen}


def test_local_training_of_signals_from_an_npz(project):
    text = SIGNALS.replace("RECORDS", "moves.npz").replace("fit_steps = 20", LOCAL)
    (project / "local.toml").write_text(text)
    report = Done("run", project / "local.toml", "--out", project / "local", "--json").data
    assert (report["schedule"], report["rounds"], report["noise_shares"]) == ("local", 2, 1)
    steps = [entry["step"] for entry in ledger(project / "local")["entries"]]
    assert steps == ["measure", "train-0001", "train-0002", "evaluate"]
    coordinator = project / "local.run" / "coordinator"
    assert {path.stem for path in (coordinator / "samples").iterdir()} == {"fit", *steps[1:-1]}


@pytest.mark.parametrize("kind", ["image", "signal"])
def test_what_is_opened_is_the_pooled_sum_with_the_planned_noise(tmp_path, kind):
    """Features of all sites' units, noise of as many shares as contributed: neither less nor more."""
    config = toy_arrays.config(training=Training(records_per_site=40, fit_steps=2))
    arrays, schema = toy_arrays.of("image")
    if kind == "signal":
        values, labels, people = moves(800)
        codes = np.array([MOVES.label.categories.index(label) for label in labels])
        arrays, schema = type(arrays)(values, codes, people), MOVES
    running = LocalFederation(prepare(config, arrays, schema, tmp_path / "run"))
    plan = running.plan
    assert plan.count is None
    assert list(plan.steps) == ["measure"]
    state = running.coordinator().run()
    features = array_features(schema, plan)
    exact, persons = np.zeros(features.count), 0
    for vault in running.vaults.values():
        key = vault.site.holdout_key
        records: Records = load_records(vault.site.records, schema, plan, key).training
        exact += features.sum(records.rows, records.weights)
        persons += records.units
        assert [entry.step for entry in vault.site.ledger.entries()] == list(plan.steps)
        assert {entry.unit for entry in vault.site.ledger.entries()} == {schema.unit}
        spent = vault.site.ledger.spent(plan.privacy.delta)
        assert spent == pytest.approx(epsilon(plan.mechanisms, plan.privacy.delta), rel=1e-6)
        assert spent <= plan.privacy.epsilon
    shares = len(plan.federation.sites) / plan.federation.shares
    planned = encoding("measure", schema, plan).noise_multiplier
    assert planned == plan.measure.noise_multiplier
    noise = (state.moments - exact) / (planned * shares**0.5)
    assert abs(noise.mean()) < 5 / len(noise) ** 0.5
    assert noise.std() == pytest.approx(1.0, abs=5 / (2 * len(noise)) ** 0.5 + 0.01)
    assert np.abs(exact).max() > 1
    if kind == "signal":  # a person's two records count as one
        assert features.counts(exact).sum() == pytest.approx(persons, abs=1e-3)
        assert persons == pytest.approx(len(arrays) * 0.8 / 2, rel=0.15)


def add_picture(mode, size):
    return lambda folder: Image.new(mode, (size, size)).save(folder / "3" / "odd.png")


def cut_picture(folder):
    picture = next((folder / "3").iterdir())
    (folder / "3" / "odd.png").write_bytes(picture.read_bytes()[:60])


def foreign_class(folder):
    (folder / "11").mkdir()


def empty_class(folder):
    for picture in (folder / "9").iterdir():
        picture.unlink()


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (add_picture("L", 32), "data-shape", "3/odd.png"),
        (add_picture("RGB", 28), "data-shape", "3/odd.png"),
        (cut_picture, "data-file", "3/odd.png"),
        (foreign_class, "data-value", "11"),
        (empty_class, "data-empty-class", "9"),
    ],
)
def test_bad_pictures_are_named_and_stop_a_run_before_it_starts(project, tmp_path, spoil, code, says):
    write_digits(tmp_path / "digits", 100)
    spoil(tmp_path / "digits")
    (tmp_path / "digits.toml").write_bytes((project / "digits.toml").read_bytes())
    (tmp_path / "run.toml").write_text(DIGITS.replace("RECORDS", "digits"))
    done = Done("simulate", tmp_path / "run.toml", "--out", tmp_path / "out", "--json")
    assert (done.error["code"], done.code) == (code, 3)
    assert says in done.error["message"]
    assert {path.name for path in tmp_path.iterdir()} == {"digits", "digits.toml", "run.toml"}


def spoiled(change):
    """The arrays of an npz with one thing wrong, which is in record 42."""
    values, labels, people = moves()
    arrays = {"x": values, "y": labels.astype("U32"), "subject": people, "sampling_rate": np.float64(100)}
    change(arrays)
    return arrays


def assign(name, value, place=41):
    return lambda arrays: arrays[name].__setitem__(place, value)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda arrays: arrays.update(sampling_rate=np.float64(99.25)), "data-sampling-rate", "100 Hz"),
        (assign("x", np.nan, (41, 1, 5)), "data-missing", "record 42, channel 'y'"),
        (assign("x", 17.125, (41, 1, 5)), "data-value", "record 42, channel 'y'"),
        (assign("y", "tremor-17.125"), "data-value", "record 42"),
        (assign("subject", ""), "data-missing", "record 42"),
        (lambda arrays: arrays.pop("subject"), "data-columns", "subject"),
        (lambda arrays: arrays.update(x=arrays["x"][:, :2]), "data-shape", "x"),
        (lambda arrays: arrays.update(y=np.full(240, "sine")), "data-empty-class", "saw"),
    ],
)
def test_bad_signals_are_named_and_never_quoted(project, tmp_path, change, code, says):
    np.savez(tmp_path / "bad.npz", **spoiled(change))
    (tmp_path / "moves.toml").write_bytes((project / "moves.toml").read_bytes())
    (tmp_path / "run.toml").write_text(SIGNALS.replace("RECORDS", "bad.npz").replace("dirichlet", "iid"))
    done = Done("run", tmp_path / "run.toml", "--out", tmp_path / "out", "--json")
    assert (done.error["code"], done.code) == (code, 3)
    assert says in done.error["message"]
    assert code == "data-empty-class" or "bad.npz" in done.error["message"]
    assert not any(value in done.out for value in ("17.125", "99.25", "tremor"))
    assert not (tmp_path / "out.run").exists()


CODES = "discriminator_width = 4\ncategories = 3"


@pytest.mark.parametrize(
    ("kind", "edit", "says"),
    [
        ("moves", lambda text: text + "[augment]\ncount = 2\n", "augment"),
        ("digits", lambda text: text.replace("discriminator_width = 4", CODES), "infogan"),
        (
            "digits",
            lambda text: text.replace("fit_steps = 20", EVERY_STEP) + '[adversarial]\nfamily = "infogan"\n',
            "codes",
        ),
        ("digits", lambda text: text + '[adversarial]\nfamily = "cvae"\n', "without rounds"),
        ("digits", lambda text: text.replace("fit_steps = 20", "split = ['digit']"), "training.split"),
        (
            "digits",
            lambda text: (
                text.replace("discriminator_width = 4", CODES).replace("fit_steps = 20", LOCAL)
                + '[adversarial]\nfamily = "infogan"\n'
            ),
            "every-step",
        ),
        ("digits", lambda text: text + '[evaluation]\ntarget = "digit"\nequals = "3"\n', "evaluation"),
        ("digits", lambda text: text.replace("fit_batch = 16", "fit_bath = 16"), "features.fit_bath"),
        ("digits", lambda text: text.replace("latent = 8", "latents = 8"), "latents"),
    ],
)
def test_configurations_that_do_not_fit_leave_a_finished_run_as_it_is(project, request, kind, edit, says):
    out, _ = request.getfixturevalue("digits" if kind == "digits" else "signals")
    before = (Path(f"{out}.run") / "plan.json").read_bytes(), (out / "report.json").read_bytes()
    (project / "bad.toml").write_text(edit((project / f"{kind}-run.toml").read_text()))
    done = Done("simulate", project / "bad.toml", "--out", out, "--json")
    assert (done.error["code"], done.code) == ("config", 2)
    assert says in done.error["message"] + done.error["hint"]
    assert before == ((Path(f"{out}.run") / "plan.json").read_bytes(), (out / "report.json").read_bytes())


def blocks(page):
    return [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(), re.S)]


def planned(content, schema):
    config = SimulationConfig.model_validate(content)
    return make_plan(config, schema, stand_in(config), "documented")


def test_the_examples_of_the_documentation_can_be_run():
    image, signal, config = blocks("images-and-signals.md")
    assert isinstance(of_kind(image), ImageSchema)
    assert isinstance(of_kind(signal), SignalSchema)
    assert planned(config, of_kind(image)).measure.views.rotate == 5
    del config["augment"]
    assert planned(config, of_kind(signal)).privacy.unit == "add/remove one subject"


def test_documented_defaults_and_sizes_are_the_codes():
    config = blocks("images-and-signals.md")[2]
    config["sites"]["column"] = "digit"
    del config["augment"]
    written = next(content for content in blocks("simulate.md") if "augment" in content)
    plain = planned(config, toy_arrays.DIGITS)
    chosen = planned(
        {**config, "model": written["model"], "features": written["features"]}, toy_arrays.DIGITS
    )
    assert (plain.model, plain.measure) == (chosen.model, chosen.measure)
    views = planned({**config, "augment": {}}, toy_arrays.DIGITS).measure.views
    assert views == planned({**config, "augment": written["augment"]}, toy_arrays.DIGITS).measure.views
    text = (DOCS / "images-and-signals.md").read_text()
    beats = toy_arrays.WAVES.model_copy(
        update={
            "length": 128,
            "label": toy_arrays.WAVES.label.model_copy(update={"categories": tuple("abcde")}),
        }
    )
    for schema in (toy_arrays.DIGITS, beats):
        features = array_features(schema, planned(config, schema))
        parts = " + ".join(f"{part:,}" for part in features.parts)
        assert f"| {parts} = {features.block:,} | {schema.classes} | {features.count:,} |" in text
    adversarial = next(content for content in blocks("simulate.md") if list(content) == ["adversarial"])
    default = SimulationConfig.model_validate(config).adversarial
    assert default == SimulationConfig.model_validate({**config, **adversarial}).adversarial
