"""A run of a federation from proposal to release, with the real coordinator and vaults, without Flower."""

import json

import pytest

from client.proposals import Proposals
from client.rehearsals import rehearsals
from client.site import Site
from client.standing import pause, unpause
from common.errors import ConfigError, FederationError, NotApprovedError, RefusedError, StorageError
from common.evaluation.figures import Evaluation
from common.event_log import run_log
from common.events import Failed, Stage
from common.released import load_release
from server import conduct, run_cli
from server.rehearsal import rehearsal_plan
from server.run_folder import RunFolder
from tests import toy

from .conducted import admitted, approved_run, conditions, plan_of, run_of

NAMES = toy.HOSPITALS[:3]


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setattr(conduct, "_APPROVAL_PAUSE", 0.0)
    monkeypatch.setattr(conduct, "_RETURN_PAUSE", 0.0)
    return admitted(tmp_path, NAMES)


def test_nothing_runs_before_every_site_approved(made, tmp_path):
    folder, sites = made
    plan = plan_of(folder, tmp_path)
    run = run_of(folder, plan)
    with pytest.raises(NotApprovedError, match="not approved in time"):
        conduct.conduct(run.folder, sites.make)
    assert {site.state for site in run.status.sites.values()} == {"pending"}
    assert run.status.failure.code == "protocol-not-approved"
    assert not (run.folder / "coordinator").exists()
    assert all(not Site(sites.folder / name).ledger.entries() for name in NAMES)


def test_an_approved_plan_runs_to_its_release(made, tmp_path):
    folder, sites = made
    plan = plan_of(folder, tmp_path)
    run = approved_run(folder, sites, plan)
    conduct.conduct(run.folder, sites.make)
    status = run.status
    assert (status.state, status.failure) == ("finished", None)
    assert status.epsilon == pytest.approx(3.0, abs=0.01)
    released = load_release(run.folder / "release")
    report = json.loads((run.folder / "release" / "report.json").read_text())
    assert released.facts["plan"] == report["plan"] == plan.hash
    for name in NAMES:
        assert [charge.step for charge in Site(sites.folder / name).ledger.entries()] == list(plan.steps)
    evaluation = Evaluation.model_validate_json((run.folder / "release" / "evaluation.json").read_bytes())
    assert evaluation.shareable


def test_a_refused_plan_never_runs(made, tmp_path):
    folder, sites = made
    plan = plan_of(folder, tmp_path)
    run = approved_run(folder, sites, plan)
    Proposals(sites.folder / "south").refuse(plan.hash, "not this year")
    with pytest.raises(NotApprovedError, match="south refused"):
        conduct.conduct(run.folder, sites.make)
    assert run.status.sites["south"].state == "refused"
    assert all(
        "not this year" not in path.read_text("utf-8", "replace") for path in run.folder.glob("*.json")
    )


def test_a_paused_site_is_waited_for(made, tmp_path):
    folder, sites = made
    plan = plan_of(folder, tmp_path)
    run = approved_run(folder, sites, plan)
    pause(sites.folder / "south", "an inspection")
    with pytest.raises((NotApprovedError, RefusedError)):
        conduct.conduct(run.folder, sites.make)
    assert not Site(sites.folder / "north").ledger.entries()
    unpause(sites.folder / "south")
    conduct.conduct(run.folder, sites.make)
    assert run.status.state == "finished"


def test_a_run_whose_process_is_gone_is_interrupted(made, tmp_path):
    folder, _ = made
    run = run_of(folder, plan_of(folder, tmp_path))
    assert run.status.state == "waiting"
    run.write(run.status.model_copy(update={"state": "running", "phase": "measure"}))
    assert run.status.state == "interrupted"
    with run.alone():
        assert run.status.state == "running"
        with pytest.raises(StorageError, match="under way"), run.alone():
            pass


def test_a_rehearsal_goes_through_without_a_record(made, tmp_path):
    folder, sites = made
    (tmp_path / "south" / "records.csv").unlink()  # it would be noticed if they were read
    member = folder.member("south")
    place = folder.folder / "flower" / "rehearsals" / "south"
    plan = rehearsal_plan(folder, member, place)
    run = RunFolder.made(place, plan, folder.schema, conditions(folder, ["south"]))
    conduct.conduct(run.folder, sites.make)
    assert run.status.state == "finished"
    assert not (run.folder / "release").exists()
    (done,) = rehearsals(sites.folder / "south")
    assert done.finished
    assert done.steps == ("count", "measure", "evaluate")
    assert not Site(sites.folder / "south").ledger.entries()


def test_plans_are_of_members(made, tmp_path):
    folder, _ = made
    assert plan_of(folder, tmp_path).federation.names == sorted(NAMES)
    with pytest.raises(ConfigError, match="2 sites"):
        plan_of(folder, tmp_path, ["north", "south"])
    folder.revoke("east")
    with pytest.raises(ConfigError, match="east: not a member"):
        plan_of(folder, tmp_path, NAMES)


def test_runs_are_found_by_the_beginning_of_their_hash(made, tmp_path):
    folder, _ = made
    with pytest.raises(FederationError, match="no run yet"):
        RunFolder.find(folder, None)
    plan = plan_of(folder, tmp_path)
    run = run_of(folder, plan)
    assert RunFolder.find(folder, plan.hash[:12]).folder == run.folder == RunFolder.find(folder, None).folder
    with pytest.raises(FederationError, match="0 runs"):
        RunFolder.find(folder, "ffffffff")
    with pytest.raises(StorageError, match="started already"):
        run_of(folder, plan)


def test_a_plan_with_a_revoked_site_is_not_started(made, tmp_path):
    folder, _ = made
    plan = plan_of(folder, tmp_path)
    (tmp_path / "plan.json").write_bytes(plan.to_json())
    folder.revoke("east")
    with pytest.raises(ConfigError, match="east: not a member any more"):
        run_cli.run_plan(tmp_path / "plan.json", folder.folder, True, True, 1.0, 1.0, 1.0)
    assert not list((folder.folder / "runs").iterdir())


def test_waiting_for_an_answer_leaves_a_few_lines_in_the_log_and_not_one_a_question(made, tmp_path):
    folder, sites = made
    asked = 0

    def away(site, _):
        nonlocal asked
        asked += site == NAMES[-1]
        return site != NAMES[-1]  # the others' stewards think

    sites.before = away
    run = run_of(folder, plan_of(folder, tmp_path), approval=1.0)
    with pytest.raises(NotApprovedError):
        conduct.conduct(run.folder, sites.make)
    events, _ = run_log(run.folder).read()
    assert asked > 5
    assert [event.site for event in events if isinstance(event, Failed)] == [NAMES[-1]]
    assert len([event for event in events if isinstance(event, Stage)]) == 1
