"""The one log of a run: what is in it, what never is, and that it can be followed and folded."""

import json
import struct
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from pydantic import ValidationError

from client.noted import note
from common import event_log
from common.errors import NotEnoughSitesError
from common.event_log import run_log, site_log
from common.events import (
    Answered,
    Began,
    Declined,
    Looked,
    Measured,
    SiteStands,
    Stage,
    Summed,
    Turned,
    figure,
    listening,
    stage,
)
from common.run_view import MOST_LOOKS, MOST_POINTS, RunView, Watched
from common.simulation.prepare import prepare
from server.recorded import with_its_end
from tests import toy
from tests.bundle.made import CANARY_COST, CANARY_PATIENT, with_canary
from tests.federation import LocalFederation

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A toy run with a record that nothing public may hold."""
    federation = LocalFederation(
        prepare(toy.config(), with_canary(), toy.SCHEMA, tmp_path_factory.mktemp("events") / "run")
    )
    with with_its_end(federation.run.folder, federation.plan, federation.run.schema):
        federation.coordinator().run()
    return federation


def test_a_run_tells_every_phase_sum_and_look(ran):
    events, _ = run_log(ran.run.folder).read()
    kinds = [event.kind for event in events]
    assert kinds[:2] == ["began", "state"]
    assert events[-1].state == "finished"
    sums = [event for event in events if isinstance(event, Summed)]
    assert [one.step for one in sums] == list(ran.plan.steps)
    assert all(one.contributors == 4 and one.missing == () and one.up > 10_000 for one in sums)
    looks = [event for event in events if isinstance(event, Looked)]
    assert [one.step for one in looks] == ["fit", "train-0001", "train-0002"]
    for one in looks:
        rows = (ran.run.folder / "coordinator" / one.samples).read_text().splitlines()
        assert len(rows) == 13
    assert any(isinstance(event, Measured) and event.name == "fit_loss" for event in events)


def test_the_fold_of_its_events_is_the_run(ran):
    watched = Watched(ran.run.folder)
    watched.refresh()
    view = watched.view
    assert [phase.name for phase in view.phases if phase.total][-1] == "train"
    assert all(phase.ended for phase in view.phases)
    assert view.state == "finished"
    assert 0 < view.epsilon <= view.began.target
    assert view.sums == len(ran.plan.steps)
    assert set(view.sites) == set(ran.plan.federation.names)
    assert watched.refresh() == []


def test_nothing_of_a_record_is_in_the_coordinators_log_nor_in_its_samples(ran):
    public = [*ran.run.folder.glob("events*.jsonl"), *(ran.run.folder / "coordinator" / "samples").iterdir()]
    needles = [str(CANARY_PATIENT).encode(), str(CANARY_COST).encode(), struct.pack("<d", CANARY_COST)]
    assert len(public) == 4
    for path in public:
        assert not any(needle in path.read_bytes() for needle in needles), path
    kinds = {json.loads(line)["kind"] for line in (ran.run.folder / "events.jsonl").read_bytes().splitlines()}
    assert kinds.isdisjoint({"answer", "plan", "declined", "standing"})
    # the same search does find the record where it lies
    held = b"".join(path.read_bytes() for path in (ran.run.folder / "sites").glob("*/records.parquet"))
    assert struct.pack("<d", CANARY_COST) in held


def test_what_a_site_tells_stays_at_the_site_and_has_no_way_into_a_runs_log(ran):
    site = ran.run.folder / "sites" / ran.plan.federation.names[0]
    events, _ = site_log(site).read()
    contributed = [e.step for e in events if isinstance(e, Answered) and e.message == "contribute"]
    assert contributed == list(ran.plan.steps)
    log = run_log(ran.run.folder)
    before = log.read()[0]
    answer = Answered(plan=ran.plan.hash, step="measure", message="contribute", bytes=9)
    with pytest.raises(ValidationError):
        log.append(answer)
    assert log.read()[0] == before


def test_a_run_that_fails_says_so(tmp_path):
    federation = LocalFederation(toy.run_folder(tmp_path / "run"))
    federation.before = lambda *_: None
    with (
        pytest.raises(NotEnoughSitesError),
        with_its_end(federation.run.folder, federation.plan, federation.run.schema),
    ):
        federation.coordinator().run()
    last = run_log(federation.run.folder).read()[0][-1]
    assert (last.state, last.code) == ("failed", NotEnoughSitesError.code)


def test_a_log_is_followed_across_full_files_and_half_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(event_log, "FULL", 400)
    log, seen, position = site_log(tmp_path), [], event_log.BEGINNING
    for number in range(20):
        log.append(Declined(plan="", step=f"step-{number}", code="x"))
        if number % 3 == 0:
            new, position = log.read(position)
            seen += new
    with open(tmp_path / "events.jsonl", "ab") as file:
        file.write(b'{"kind": "decli')  # a crash
    new, position = log.read(position)
    seen += new
    log.append(Declined(plan="", step="step-20", code="x"))
    seen += log.read(position)[0]
    assert [event.step for event in seen] == [f"step-{number}" for number in range(21)]
    assert log.skipped == 1
    assert len(list(tmp_path.glob("events-*.jsonl"))) > 3
    assert [event.step for event in log.read()[0]] == [event.step for event in seen]


def test_a_log_is_read_though_a_full_file_of_it_was_removed(tmp_path, monkeypatch):
    """On a full disk, say: what is left is there, and so is what comes."""
    monkeypatch.setattr(event_log, "FULL", 400)
    log = site_log(tmp_path)
    for number in range(20):
        log.append(Declined(plan="", step=f"step-{number}", code="x"))
    events, position = log.read()
    gone = len((tmp_path / "events-1.jsonl").read_bytes().splitlines())
    (tmp_path / "events-1.jsonl").unlink()
    left, again = log.read()
    assert (left, again) == (events[gone:], position)
    log.append(Declined(plan="", step="step-20", code="x"))
    assert [event.step for event in log.read(position)[0]] == ["step-20"]


def test_a_line_of_a_newer_version_is_left_out_and_counted(tmp_path):
    note(tmp_path, Declined(plan="", step="one", code="x"))
    with open(tmp_path / "events.jsonl", "ab") as file:
        file.write(b'{"version": 2, "kind": "declined", "plan": "", "step": "two", "code": "x"}\n')
    note(tmp_path, Declined(plan="", step="three", code="x"))
    log = site_log(tmp_path)
    assert [event.step for event in log.read()[0]] == ["one", "three"]
    assert log.skipped == 1


def test_a_site_is_served_though_its_log_cannot_be_written(tmp_path):
    note(tmp_path / "nowhere", Declined(plan="", step="one", code="x"))
    assert not (tmp_path / "nowhere").exists()


def test_the_fold_is_bounded_and_knows_time_left_and_stragglers():
    view = RunView()
    sites = ("a", "b", "c", "slow")
    view.take(
        Began(
            time=at(0),
            plan="0" * 64,
            run="r",
            modality="table",
            schedule="every-step",
            sites=sites,
            least=3,
            target=3.0,
            delta=1e-5,
            unit="u",
            steps=5000,
        )
    )
    view.take(Turned(time=at(0), state="running"))
    for step in range(5000):
        view.take(Stage(time=at(step), phase="train", done=step, total=10_000, epsilon=step / 5000))
        view.take(Measured(time=at(step), name="fakes_told", step=step, value=0.7))
        view.take(Looked(time=at(step), step=f"train-{step:04}", samples=""))
    assert view.eta_seconds == pytest.approx(5001)
    for name in ("fakes_told", "epsilon"):
        points = view.curves[name].points
        assert MOST_POINTS / 2 <= len(points) <= MOST_POINTS + 1
    assert view.curves["fakes_told"].points[-1][0] == 4999
    steps = [step for step, _ in view.curves["fakes_told"].points[:-1]]
    assert len({b - a for a, b in pairwise(steps)}) == 1
    assert len(view.looks) <= MOST_LOOKS
    assert (view.looks[0].step, view.looks[-1].step) == ("train-0000", "train-4999")
    for site in sites:
        view.take(SiteStands(time=at(6000), site=site, state="busy"))
        view.take(SiteStands(time=at(6000 + (60 if site == "slow" else 4)), site=site, state="ready"))
    assert view.stragglers == ["slow"]
    view.take(SiteStands(time=at(7000), site="a", state="late"))
    assert view.stragglers == ["a", "slow"]


def test_a_figure_that_is_no_number_is_not_told():
    told = []
    with listening(told.append):
        figure("fit_loss", 0, float("nan"))
        figure("fit_loss", 50, 0.5)
        stage("fit", 50, 100, 0.1)
    stage("fit", 100, 100, 0.1)
    assert [event.kind for event in told] == ["figure", "stage"]
