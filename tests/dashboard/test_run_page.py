"""A run's page is the fold of its log: of a real run, and of an invented one in each of its states."""

import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request

from common.errors import ConfigError
from common.event_log import run_log
from common.events import Alarm, Failed, Looked, Measured, SiteStands, Stage, Summed, Turned
from common.plan import Plan
from server.dashboard import concerns, journey, lights, samples
from server.dashboard.application import dashboard
from server.dashboard.parts import NAMES as PARTS
from server.dashboard.parts import Parts, digests
from server.dashboard.places import Place, find
from server.dashboard.runs import Run
from server.run_folder import RunFolder
from tests.web.browser import served
from tests.web.inside import Inside, code

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def run(simulated, tmp_path):
    """A run of the same plan that has only begun; ``tell`` writes its log."""
    raw = (simulated.with_name("heart.run") / "plan.json").read_bytes()
    (tmp_path / "plan.json").write_bytes(raw)
    plan = Plan.from_json(raw)
    made = Run("abc", Place(tmp_path, tmp_path / "release", False), plan)
    log, began = run_log(tmp_path), run_log(simulated.with_name("heart.run")).read()[0][0]
    log.append(began)

    def tell(*events):
        for event in events:
            log.append(event)
        made._looked = float("-inf")
        made.look()
        return made

    made.tell = tell
    with RunFolder(tmp_path).alone():  # as long as a process conducts it
        yield made


def test_a_run_whose_process_has_died_is_interrupted(simulated, tmp_path):
    for name in ("plan.json", "schema.toml"):
        (tmp_path / name).write_bytes((simulated.with_name("heart.run") / name).read_bytes())
    log, began = run_log(tmp_path), run_log(simulated.with_name("heart.run")).read()[0][0]
    log.append(began)
    log.append(Turned(state="running"))
    plan = Plan.from_json((tmp_path / "plan.json").read_bytes())
    made = Run("abc", Place(tmp_path, tmp_path / "release", False), plan)
    with RunFolder(tmp_path).alone():
        made.look()
        assert made.state == "running"
    made._looked = float("-inf")
    made.look()
    assert made.state == "interrupted"


def test_the_page_of_a_real_run_says_what_was(watching, simulated):
    page = watching.get("/")
    assert page.status_code == 200
    assert "4 sites trained one generator together" in page.text
    assert len(re.findall(r'<li class="done"', page.text)) == 5
    assert "of 3.00 promised" in page.text
    events = run_log(simulated.with_name("heart.run")).read()[0]
    sums = [one for one in events if isinstance(one, Summed)]
    assert f"<dd>{len(sums)}</dd>" in page.text
    for site in ("north", "south", "east", "west"):
        assert f"site-{site}" in page.text
    rows = (simulated.with_name("heart.run") / "coordinator/samples/train-0002.csv").read_text().splitlines()
    assert all(f"<td>{cell}</td>" in page.text for cell in rows[1].split(",") if cell)
    assert "Round 2, the newest" in page.text
    assert "Time for a sum" in page.text
    for no_button in ("/stop", "/resume"):
        assert no_button not in page.text  # a simulation is not conducted from here


def test_an_earlier_look_without_a_script(watching):
    key = next(iter(re.findall(r"/runs/([0-9a-f]{12})/live", watching.get("/").text)))
    earlier = watching.get(f"/runs/{key}?look=0")
    assert "After the fit" in earlier.text
    assert "After the fit, the newest" not in earlier.text
    assert f'href="/runs/{key}?look=1#samples"' in earlier.text
    part = watching.get(f"/runs/{key}/looks", params={"look": "0"}, headers={"HX-Request": "true"})
    assert "After the fit" in part.text
    assert 'id="following" hx-swap-oob="true"' in part.text
    assert "<html" not in part.text
    assert watching.get(f"/runs/{key}/samples/0").status_code == 404  # rows, no picture
    assert watching.get("/runs/000000000000").status_code == 404


def test_only_what_changed_is_sent(watching, run):
    request, parts = nobody(), Parts(watching.web, run)
    whole = parts.now(request)
    source = parts.changes(request, digests(whole))
    assert source() == {}
    run.tell(Stage(phase="train", done=3, total=40, epsilon=1.5))
    changed = source()
    assert set(changed) == {"now", "journey", "privacy", "numbers", "charts"}
    assert "3 of 40 rounds" in changed["journey"]
    assert source() == {}
    assert set(parts.changes(request, "")()) == set(PARTS)


def nobody():
    """A request of no session: parts hold nothing of one."""
    request = Request({"type": "http", "path": "/", "headers": [], "method": "GET", "query_string": b""})
    request.state.session = None
    return request


def test_a_sentence_for_every_state(run):
    busy = [SiteStands(site=site, state="busy") for site in ("site-north", "site-south")]
    ready = [SiteStands(site=site, state="ready") for site in ("site-east", "site-west")]
    run.tell(Turned(state="waiting"), Stage(phase="approve", done=1, total=4, epsilon=0.0))
    assert journey.sentence(run).startswith("Step 1 of 5: ")
    assert "1 of 4 have said yes" in journey.sentence(run)
    run.tell(Turned(state="running"), Stage(phase="measure", done=0, total=1, epsilon=0.0), *busy, *ready)
    assert journey.sentence(run).startswith("Step 3 of 5: ")
    assert "2 of 4 sites have answered" in journey.sentence(run)
    run.tell(
        Stage(phase="train", done=0, total=40, epsilon=1.0, time=NOON),
        Stage(phase="train", done=10, total=40, epsilon=1.5, time=NOON + timedelta(minutes=4)),
    )
    assert "about 12 min left" in journey.sentence(run)
    assert [one.where for one in journey.stands(run)] == ["done"] * 3 + ["now", "to come"]
    run.tell(Turned(state="failed", code="protocol-not-enough-sites", message="2 sites", hint="wait"))
    assert "ended before its goal" in journey.sentence(run)
    assert run.failure.code == "protocol-not-enough-sites"
    assert [one.where for one in journey.stands(run)][3] == "stopped here"
    run.tell(Turned(state="stopped"))
    assert "stopped" in journey.sentence(run)
    assert run.failure is None


def test_what_is_wrong_comes_with_what_to_do(run):
    run.tell(Turned(state="running"), Stage(phase="train", done=1, total=40, epsilon=1.0))
    assert concerns.concerns(run) == []
    run.tell(
        SiteStands(site="site-north", state="gone"),
        SiteStands(site="site-east", state="gone"),
        SiteStands(site="site-west", state="late"),
        Failed(step="train-0001", site="site-west", code="no-answer"),
        Looked(
            step="train-0001",
            samples="",
            alarms=(Alarm(of="sick", alarm="collapsed", advice="train for longer"),),
            advice="D tells nearly every fake: more generator steps",
            fakes_told=0.99,
        ),
    )
    found = concerns.concerns(run)
    assert [one.grave for one in found] == [True, False, False, False]
    titles = " / ".join(one.title for one in found)
    assert "site-north, site-east cannot be reached" in titles or "site-east, site-north" in titles
    assert "site-west did not answer in time" in titles
    assert "sick are too alike (mode collapse)" in titles
    assert "Out of balance: D tells nearly every fake" in titles
    assert all(one.advice.endswith(".") for one in found)
    run.tell(Looked(step="train-0002", samples=""))  # a better look
    assert "collapse" not in " ".join(one.title for one in concerns.concerns(run))


def test_many_sites_are_numbers_and_those_that_need_an_eye(run):
    names = [f"site-{number:03d}" for number in range(200)]
    run.tell(*(SiteStands(site=name, state="ready") for name in names))
    run.tell(SiteStands(site="site-007", state="gone"), SiteStands(site="site-008", state="busy"))
    found = lights.lights(run)
    assert [one.name for one in found.shown] == ["site-007"]
    assert ("good", "ready", 198) in found.others
    assert ("busy", "at work", 1) in found.others
    assert found.total == 204
    assert len(lights.lights(run, most=1000).shown) == 204


def test_only_files_that_the_log_names_are_read(run, tmp_path):
    (tmp_path / "coordinator" / "samples").mkdir(parents=True)
    (tmp_path / "coordinator" / "state.png").write_bytes(b"secret")
    (tmp_path / "coordinator" / "samples" / "fit.png").write_bytes(b"picture")
    run.tell(
        Looked(step="fit", samples="samples/fit.png"),
        Looked(step="train-0001", samples="samples/../state.png"),
        Looked(step="train-0002", samples="../plan.json"),
        Looked(step="train-0003", samples=""),
    )
    assert samples.file_of(run, 0).read_bytes() == b"picture"
    assert [samples.file_of(run, place) for place in (1, 2, 3, 4, -1)] == [None] * 5
    assert samples.look(run, 0).kind == "picture"
    assert samples.look(run, None).kind == "nothing"


def test_a_name_that_would_be_a_script_is_text(watching, run):
    run.tell(
        Turned(state="failed", code="x", message="<script>alert(1)</script>", hint="<b>"),
        Measured(name="fit_loss", step=1, value=1.0),
    )
    parts = Parts(watching.web, run).now(nobody())
    assert "<script>" not in parts["now"]
    assert "&lt;script&gt;" in parts["now"]


def test_what_is_no_run_says_what_would_be_one(tmp_path):
    with pytest.raises(ConfigError, match="neither a federation nor a simulation"):
        find(tmp_path)
    (tmp_path / "out.run").mkdir()
    (tmp_path / "out.run" / "plan.json").write_text("{}")
    with pytest.raises(ConfigError):
        find(tmp_path / "out")


def test_a_simulation_is_found_by_its_release_and_by_its_run(simulated):
    for folder in (simulated, simulated.with_name("heart.run")):
        shown = find(folder)
        assert shown.title == "Simulation heart"
        assert [place.release.name for place in shown.places().values()] == ["heart"]


def test_a_simulation_that_is_made_anew_is_being_prepared(simulated, tmp_path):
    for suffix in ("", ".run"):
        shutil.copytree(simulated.with_name("heart" + suffix), tmp_path / ("heart" + suffix))
    shown = find(tmp_path / "heart")
    with (
        served(lambda port: dashboard(shown, None, read_only=False, port=port)) as (web, _),
        Inside(web) as browser,
    ):
        for gone in (tmp_path / "heart.run" / "plan.json", tmp_path / "heart.run"):
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
            answer = browser.get("/")
            assert (answer.status_code, code(answer)) == (400, "storage")
            assert "being prepared" in answer.text
            assert browser.get("/releases").status_code == 200
            assert browser.get("/playground").status_code == 200


def test_read_only_shows_all_and_does_nothing(simulated):
    shown = find(simulated)
    with (
        served(lambda port: dashboard(shown, None, read_only=True, port=port)) as (web, _),
        Inside(web) as browser,
    ):
        key = next(iter(shown.places()))
        assert browser.get("/").status_code == 200
        assert browser.get("/releases").status_code == 200
        assert f'action="/releases/{key}/make"' not in browser.get(f"/releases/{key}").text
        for path in (f"/runs/{key}/stop", f"/releases/{key}/make"):
            assert browser.act(path).status_code in (404, 405)
