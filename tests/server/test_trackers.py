"""A run in Prometheus, TensorBoard and MLflow: read back with their own programs, and nothing twice."""

import json
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from common.errors import MissingPackageError, StorageError
from common.event_log import run_log
from common.events import Alarm, Failed, Looked, Measured, SiteStands, Stage, Summed, Turned
from common.run_view import Watched
from common.simulation.prepare import prepare
from common.trackers.prometheus import COUNTERS, METRICS, metrics_text
from common.trackers.to_mlflow import MLflow
from common.trackers.to_tensorboard import TensorBoard
from common.trackers.told import Tracking, step_of
from server.exposed import Exposed, serve
from server.recorded import with_its_end
from server.track_cli import tensorboard
from tests import toy_arrays
from tests.federation import LocalFederation

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/fedcgan.json").read_text())
LATER = (
    Turned(state="running"),
    Stage(phase="train", done=0, total=9, epsilon=9.9),
    SiteStands(site="site-1", state="late"),
    Failed(step="train-0003", site="site-1", code="no-answer"),
    Summed(step="train-0003", contributors=3, missing=("site-1",), up=7, down=5, seconds=1.5),
    Measured(name="fakes_told", step=3, value=0.99),
    Looked(
        step="train-0003",
        samples="samples/fit.png",
        alarms=(Alarm(of="7", alarm="few kinds", advice="more rounds"),),
        advice="D tells nearly every fake",
        fakes_told=0.99,
        generator_steps=1.5,
    ),
)
"""What a run with rounds tells besides."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A finished run over images, and its folder."""
    data, schema = toy_arrays.of("image")
    settings = toy_arrays.config(name='quote " and \\ run')
    federation = LocalFederation(
        prepare(settings, data, schema, tmp_path_factory.mktemp("tracked") / "study.run")
    )
    with with_its_end(federation.run.folder, federation.plan, federation.run.schema):
        federation.coordinator().run()
    return federation


@pytest.fixture
def later(ran, tmp_path):
    """The same, gone on with."""
    folder = tmp_path / "run"
    (folder / "coordinator/samples").mkdir(parents=True)
    sample = Path("coordinator/samples/fit.png")
    (folder / sample).write_bytes((ran.run.folder / sample).read_bytes())
    log = run_log(folder)
    for event in (*run_log(ran.run.folder).read()[0], *LATER):
        log.append(event)
    return folder


def view_of(folder):
    watched = Watched(folder)
    watched.refresh()
    return watched.view


def values(text):
    """Value by name and labels, as Prometheus' own parser reads them."""
    return {
        (
            sample.name,
            *(sample.labels[name] for name in sorted(sample.labels) if name not in ("run", "plan")),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_exposition_is_the_view_of_the_run(ran, later):
    view, plan = view_of(later), ran.plan.hash
    text = metrics_text({plan: view})
    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert set(families) == {f"fedcgan_{name}" for name in METRICS}
    assert {f"fedcgan_{name}" for name in COUNTERS} == {
        n for n, one in families.items() if one.type == "counter"
    }
    for family in families.values():
        for sample in family.samples:
            assert (sample.labels["run"], sample.labels["plan"]) == (ran.plan.run, plan[:12])
    found = values(text)
    assert found["fedcgan_epsilon_spent",] == view.epsilon > 9.9
    assert found["fedcgan_epsilon_target",] == 10
    assert found["fedcgan_run_state", "running"] == 1
    assert found["fedcgan_run_state", "finished"] == 0
    assert found["fedcgan_phase", "train"] == 1
    assert found["fedcgan_phase", "fit"] == 0
    assert found["fedcgan_phase_done", "enrol"] == found["fedcgan_phase_units", "enrol"] == 1
    assert found["fedcgan_phase_units", "train"] == 9
    assert found["fedcgan_site_state", "site-1", "late"] == 1
    assert sum(value for key, value in found.items() if key[:2] == ("fedcgan_site_state", "site-1")) == 1
    assert found["fedcgan_site_missed_sums_total", "site-1"] == 1
    assert found["fedcgan_site_straggling", "site-1"] == 1
    assert found["fedcgan_sums_total",] == view.sums
    assert found["fedcgan_bytes_total", "up"] == view.up
    assert found["fedcgan_sum_seconds",] == 1.5
    assert found["fedcgan_fakes_told",] == 0.99
    assert found["fedcgan_alarms",] == 2
    dead = values(metrics_text({plan: view}, {plan: "interrupted"}))
    assert (dead["fedcgan_run_state", "interrupted"], dead["fedcgan_phase", "train"]) == (1, 0)


def test_metrics_are_served_to_this_machine_and_to_no_page_elsewhere(ran):
    place, there = [], threading.Event()

    def started(port):
        place.append(f"http://127.0.0.1:{port}")
        there.set()

    exposed = Exposed(ran.run.folder.with_name("study"))
    threading.Thread(target=serve, args=(exposed.text, 0, started), daemon=True).start()
    assert there.wait(60)
    with urllib.request.urlopen(place[0] + "/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert values(answer.read().decode())["fedcgan_run_state", "finished"] == 1
    for request, status in (
        (urllib.request.Request(place[0] + "/metrics", headers={"Host": "evil.example"}), 421),
        (urllib.request.Request(place[0] + "/events.jsonl"), 404),
        (urllib.request.Request(place[0] + "/metrics", data=b"x"), 501),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == status
        refused.value.close()


def queries() -> list[str]:
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*found, *(one["definition"] for one in DASHBOARD["templating"]["list"] if "definition" in one)]


def test_the_grafana_dashboard_asks_for_what_there_is_and_its_readme_names_the_rest():
    named = {name for query in queries() for name in re.findall(r"\bfedcgan_\w+", query)}
    exposed = {f"fedcgan_{name}" + ("_total" if name in COUNTERS else "") for name in METRICS}
    assert named <= exposed
    page = (ROOT / "deploy/grafana/README.md").read_text()
    rows = re.findall(r"^\| `(fedcgan_\w+)` \| ([^|]*) \| ([^|]*) \|$", page, re.MULTILINE)
    assert {name for name, _, _ in rows} == exposed
    assert {name for name, _, shown in rows if shown.strip() != "-"} == named
    assert all(meaning in page for meaning in METRICS.values())


def test_the_grafana_dashboard_is_one():
    assert DASHBOARD["schemaVersion"] >= 36
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells = set()
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["title"]
        assert panel["description"]
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells
        assert at["x"] + at["w"] <= 24
        cells |= mine
    assert [one["type"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "query"]


def accumulated(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0, "scalars": 0})
    read.Reload()
    return read


def test_tensorboard_shows_numbers_pictures_and_alarms_and_nothing_twice(ran, later, tmp_path):
    events = run_log(later).read()[0]
    first = len(events) - len(LATER)
    for part in (events[:first], events[:first], events, events):  # as if exported while it goes on
        tracker = TensorBoard(tmp_path / "logs", "study", ran.plan.hash)
        Tracking(tracker, later).take(part)
        tracker.close()
    assert tracker.folder == tmp_path / "logs" / f"study-{ran.plan.hash[:8]}"
    read = accumulated(tracker.folder)
    told = read.Scalars("train/fakes_told")
    assert [(one.step, round(one.value, 4)) for one in told] == [(3, 0.99)]
    assert told[0].wall_time == pytest.approx(LATER[5].time.timestamp(), abs=1e-3)
    assert [one.step for one in read.Scalars("sums/seconds")] == [1, 2]
    assert read.Scalars("privacy/epsilon")[0].value == pytest.approx(view_of(later).epsilon)
    assert [one.step for one in read.Images("samples")] == [0, 3]
    (tmp_path / "seen.png").write_bytes(read.Images("samples")[0].encoded_image_string)
    with Image.open(tmp_path / "seen.png") as seen, Image.open(later / "coordinator/samples/fit.png") as real:
        assert np.array_equal(np.asarray(seen.convert("RGB")), np.asarray(real.convert("RGB")))
    alarm = read.Tensors("alarm/text_summary")
    assert "few kinds of 7: more rounds" in alarm[0].tensor_proto.string_val[0].decode()
    assert "add/remove one record" in read.Tensors("run/text_summary")[0].tensor_proto.string_val[0].decode()


def test_a_damaged_state_is_not_taken_for_a_new_one(ran, later, tmp_path):
    tracker = TensorBoard(tmp_path, "study", ran.plan.hash)
    Tracking(tracker, later).take(run_log(later).read()[0])
    tracker.close()
    (tracker.folder / "fedcgan.json").write_text("{")
    with pytest.raises(StorageError):
        Tracking(TensorBoard(tmp_path, "study", ran.plan.hash), later)


def test_the_command_exports_and_follows_to_the_end(ran, tmp_path, capsys):
    for follow in (True, False):
        tensorboard(str(ran.run.folder), tmp_path, Path(), follow, True)
        data = json.loads(capsys.readouterr().out)["data"]
        assert data["state"] == "finished"
        assert (data["events"] > 5) is follow
    assert len(list(Path(data["place"]).glob("events.out.*"))) == 1


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of MLflow's in files: made at once, unlike the database that is its default."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("store")
def test_mlflow_has_parameters_numbers_and_files_and_nothing_twice(ran, later, tmp_path):
    events = run_log(later).read()[0]
    first = len(events) - len(LATER)
    runs = set()
    for part in (events[:first], events[:first], events, events):
        tracker = MLflow("study", ran.plan.run, ran.plan.hash)
        runs.add(tracker.place)
        Tracking(tracker, later).take(part)
    assert len(runs) == 1
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("study")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == ran.plan.run
    assert run.info.status == "RUNNING"
    assert run.data.params["epsilon_target"] == "10"
    assert run.data.params["plan"] == ran.plan.hash
    history = client.get_metric_history(run.info.run_id, "sums/seconds")
    assert [one.step for one in history] == [1, 2]
    assert run.data.metrics["train/fakes_told"] == 0.99
    (sample,) = client.list_artifacts(run.info.run_id, "samples")
    assert sample.path == "samples/fit.png"
    (alarm,) = client.list_artifacts(run.info.run_id, "alarm")
    place = client.download_artifacts(run.info.run_id, alarm.path, str(tmp_path))
    assert "few kinds of 7: more rounds" in Path(place).read_text()
    log = run_log(later)
    log.append(Turned(state="failed", code="protocol", message="what", hint=""))
    tracker = MLflow("study", ran.plan.run, ran.plan.hash)
    assert Tracking(tracker, later).take(log.read()[0]) == 1
    assert client.get_run(run.info.run_id).info.status == "FAILED"


@pytest.mark.usefixtures("store")
def test_mlflow_calls_nobody(ran, monkeypatch):
    MLflow("quiet", "r", ran.plan.hash)
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "false")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9/")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StorageError, match="MLflow"):
        MLflow("quiet", "r", ran.plan.hash)
    assert is_telemetry_disabled()  # whatever the environment said


@pytest.mark.parametrize(
    ("package", "make", "extra"),
    [
        ("torch.utils.tensorboard", lambda path: TensorBoard(path, "r", "0" * 64), "tensorboard"),
        ("mlflow.entities", lambda _: MLflow("e", "r", "0" * 64), "mlflow"),
    ],
)
def test_without_the_package_the_hint_says_what_to_install(monkeypatch, tmp_path, package, make, extra):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingPackageError) as missing:
        make(tmp_path)
    assert missing.value.hint == f"pip install 'fedcgan[{extra}]'"


def test_steps_have_numbers():
    assert [step_of(place) for place in ("fit", "train-0012", "measure", "train-0003.2")] == [0, 12, 0, 3]
