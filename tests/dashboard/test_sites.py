"""Sites and plans: every action with its errors, which stand beside a form that has lost nothing."""

import re
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from common.errors import SuperLinkError
from common.event_log import run_log
from common.events import Turned
from common.plan import Plan
from server.dashboard import connections, journey
from server.dashboard.connections import Connections, Known
from server.dashboard.places import Shown
from server.dashboard.readiness import certificate, sites
from server.dashboard.roll import Roll
from server.dashboard.runs import Runs
from server.dashboard.site_pages import Kits
from server.run_folder import RunFolder
from tests.server.conducted import plan_of, run_of
from tests.web.browser import served
from tests.web.inside import Inside, code

from .made import NAMES, NOW, approve, connected, joins, pages

WISHES = {
    "name": "heart",
    "privacy-epsilon": "3",
    "privacy-delta": "1e-5",
    "training-records_per_site": "100",
    "training-schedule": "moments",
    "training-rounds": "0",
    "federation-threshold": "2",
    "federation-min_contributors": "3",
    "federation-collusion": "",
    "further": "[model]\nlatent = 8\ngenerator_hidden = [16]\n[training]\nfit_steps = 5\n"
    "[release]\nevaluate_share = 0.0\nsignatures = 0\n",
}


def kit_of(inside, page):
    return inside.act(re.search(r'action="(/kits/[^"]+)"', page.text)[1])


def test_invite_fetch_once_admit_shut_out(inside, members, tmp_path):
    made, _ = members
    assert inside.act("/invite", name="west", days="7").headers["location"] == "/sites/west"
    page = inside.get("/sites/west")
    kit = kit_of(inside, page)
    assert kit.headers["content-disposition"] == 'attachment; filename="west.kit.zip"'
    assert kit_of(inside, page).status_code == 404  # once
    assert "/kits/" not in inside.get("/sites/west").text
    assert made.member("west").expires - datetime.now(UTC) < timedelta(days=7, minutes=1)
    (tmp_path / "west.kit.zip").write_bytes(kit.content)
    reply = joins(made, tmp_path, tmp_path / "west.kit.zip").reply

    wrong = inside.act("/admit", reply=reply.model_dump_json(), fingerprint="00000 " * 8)
    assert (wrong.status_code, code(wrong)) == (400, "join")
    assert reply.mac in wrong.text  # nothing that was pasted is lost
    assert made.member("west").state == "invited"
    for text in ("", "{}", "x" * 9000):
        assert inside.act("/admit", reply=text).status_code == 400
    right = reply.fingerprint(made.identity.public, made.certificates.authority)
    assert inside.act("/admit", reply=reply.model_dump_json(), fingerprint=right).status_code == 303
    assert right in inside.get("/sites/west").text
    assert inside.act("/admit", reply=reply.model_dump_json()).status_code == 400  # good once

    refused = inside.act("/sites/west/revoke", sure="wes")
    assert (refused.status_code, code(refused)) == (400, "config")
    assert made.member("west").state == "admitted"
    assert inside.act("/sites/west/revoke", sure="west").status_code == 303
    assert made.member("west").state == "revoked"
    assert "shut out" in inside.get("/").text


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("", "14"),
        ("north", "14"),
        ("North", "14"),
        ("a b", "14"),
        ("new", "0"),
        ("new", "x"),
        ("new", "9" * 5000),
    ],
    ids=range(7),
)
def test_an_invitation_that_cannot_be_made_keeps_the_form(inside, members, name, days):
    answer = inside.act("/invite", name=name, days=days)
    assert answer.status_code == 400
    assert f'value="{days}"' in answer.text
    assert {one.name for one in members[0].members()} == set(NAMES)


def test_kits_wait_in_memory_and_not_for_ever(monkeypatch):
    kits = Kits()
    first = kits.keep("north", b"old")
    second = kits.keep("north", b"new")  # an invitation replaces the one before
    assert kits.waiting("north") == second != first
    monkeypatch.setattr("server.dashboard.site_pages._KEPT", -1.0)
    assert kits.waiting("north") is None


def test_readiness_says_why(members, monkeypatch):
    made, engine = members
    unknown = sites(made, Roll(made), Known(None, None, None), None)
    assert [one.word for one in unknown] == ["not known"] * 3
    connected(made, engine, NAMES[:2])
    known = Known({1: NOW}, 1.0, None)
    by_name = {one.name: one for one in sites(made, Roll(made), known, None)}
    said = {name: " ".join(reason.text for reason in one.reasons) for name, one in by_name.items()}
    assert by_name["north"].word == "not rehearsed"
    assert "connected since 2026-11-30 08:00 UTC" in said["north"]
    assert by_name["south"].word == "not ready"
    assert "not connected" in said["south"]
    assert "not let in yet" in said["east"]
    soon = made.certificates.server(datetime.now(UTC)).not_valid_after_utc - timedelta(days=3)
    assert not certificate(made).warns
    assert certificate(made, soon).warns
    assert certificate(made, soon + timedelta(days=9)).warns


def test_nobody_waits_for_superlink(monkeypatch):
    monkeypatch.setattr(connections, "EVERY", 1000.0)
    go, asked = threading.Event(), []

    def online():
        asked.append(1)
        go.wait(10)
        raise SuperLinkError("SuperLink does not answer")

    found = Connections(SimpleNamespace(online=online))
    assert found.known() == Known(None, None, None)  # at once, while it is asked
    assert found.known() == Known(None, None, None)
    go.set()
    while found.known().error is None:
        pass
    assert asked == [1]
    assert found.known().since is None


def test_a_plan_from_the_form_is_the_plan_that_the_command_makes(inside, members):
    made, _ = members
    answer = inside.act("/plans/new", **WISHES, site=list(NAMES))
    assert answer.status_code == 303
    drafts = list((made.folder / "plans").glob("heart-*.plan.json"))
    assert len(drafts) == 1
    plan = Plan.from_json(drafts[0].read_bytes())
    assert answer.headers["location"] == f"/plans/{plan.hash[:12]}"
    assert plan.federation.names == sorted(NAMES) or set(plan.federation.names) == set(NAMES)
    assert (plan.privacy.epsilon, plan.privacy.delta, plan.federation.threshold) == (3.0, 1e-5, 2)
    assert (plan.measure.fit_steps, plan.min_records) == (5, 100)
    assert plan.hash in inside.get(answer.headers["location"]).text
    assert "heart" in inside.get("/plans").text


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("privacy-epsilon", "", "config"),
        ("privacy-epsilon", "many", "config"),
        ("privacy-epsilon", "0", "privacy-target"),
        ("federation-threshold", "9", "config"),
        ("training-rounds", "3", "config"),
        ("further", "a = [", "config"),
        ("further", "[privacy]\nepsilon = 9.0", "config"),
        ("further", "no_such_key = 1", "config"),
        ("site", "north", "config"),
        ("site", "nobody", "config"),
    ],
)
def test_wishes_that_cannot_be_are_explained_beside_the_form(inside, members, field, value, expected):
    for path in ("/plans/new", "/plans/new/estimate"):
        answer = inside.act(path, **{**WISHES, field: value})
        assert (answer.status_code, code(answer)) == (400, expected)
        kept = {**WISHES, field: value}["training-records_per_site"]
        assert f'value="{kept}"' in answer.text
        assert value.split("\n")[0] in answer.text
        assert "in the file" not in answer.text
    assert not (members[0].folder / "plans").exists()


def test_a_run_is_started_stopped_and_goes_on(inside, members, tmp_path, monkeypatch):
    monkeypatch.setattr("server.conduct._APPROVAL_PAUSE", 0.1)
    made, engine = members
    where = inside.act("/plans/new", **WISHES).headers["location"]
    unsure = inside.act(f"{where}/start")
    assert (unsure.status_code, engine.started) == (400, [])
    assert inside.act(f"{where}/start", sure="yes", answer="soon").status_code == 400
    run = inside.act(f"{where}/start", sure="yes", answer="5m").headers["location"]
    folder = RunFolder(next(iter((made.folder / "runs").iterdir())))
    assert folder.conditions.answer_seconds == 300
    assert folder.conditions.approval_seconds == 72 * 3600
    wait_for(inside, run, "0 of 3 have said yes")
    wait_for(inside, run, "Stop</button>")
    assert inside.act(f"{where}/start", sure="yes").status_code == 400  # it was started
    assert inside.act(f"{run}/stop").status_code == 303
    wait_for(inside, run, "The run was stopped")
    wait_for(inside, run, "Go on</button>")
    engine.join()
    engine.fails = "SuperLink does not answer"
    assert inside.act(f"{run}/resume").status_code == 303
    wait_for(inside, run, "SuperLink does not answer")
    wait_for(inside, run, "Go on</button>")
    engine.fails = None
    approve(tmp_path, NAMES, folder.plan.hash)
    assert inside.act(f"{run}/resume").status_code == 303
    wait_for(inside, run, "trained one generator together")
    assert inside.act(f"{run}/resume").status_code == 400
    assert (folder.folder / "release" / "report.json").exists()


def wait_for(inside, path, text):
    for _ in range(600):
        if text in (page := inside.get(path).text):
            return page
        time.sleep(0.1)
    raise AssertionError(f"{text!r} never came")


def test_a_run_that_nobody_conducts_any_more_says_so(members):
    """The log alone would say that it goes on."""
    made, _ = members
    run = run_of(made, plan_of(made, made.folder.parent))
    run_log(run.folder).append(Turned(state="running"))
    run.write(run.status.model_copy(update={"state": "running", "phase": "train"}))
    found = Runs(Shown(made, None))
    with run.alone():
        assert found.latest().state == "running"
    time.sleep(0.5)  # longer than a look counts as fresh
    assert found.latest().state == "interrupted"
    assert "can go on from here" in journey.sentence(found.latest())


def test_read_only_has_no_forms_and_no_actions(members):
    made, engine = members
    with served(lambda port: pages(made, engine, port, read_only=True)) as (web, _), Inside(web) as browser:
        for path in ("/", "/plans", "/runs", "/releases", "/playground", "/sites/north"):
            page = browser.get(path)
            assert page.status_code == 200
            assert set(re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', page.text)) == {"/leave"}
        assert browser.get("/plans/new").status_code == 404
        for path in ("/invite", "/admit", "/sites/north/revoke", "/plans/new"):
            assert browser.act(path, name="west", days="3", sure="north").status_code in (404, 405)
    assert made.member("north").state == "admitted"
