"""Where plans stand: nobody but the steward moves them, and no crash or flood moves them either."""

import os
import stat
from contextlib import suppress

import pytest

from client import proposals as module
from client.proposals import Proposals
from client.site import Site, approve
from common.errors import NotApprovedError, ProposalError, StorageError, UnknownPlanError
from tests import toy


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return toy.run_folder(tmp_path_factory.mktemp("proposals") / "run")


@pytest.fixture
def proposals(tmp_path):
    return Proposals(tmp_path)


def schema(run) -> bytes:
    return run.schema.model_dump_json().encode()


def plan(run, number: int = 0):
    return run.plan.model_copy(update={"run": f"run {number}"})


def test_a_plan_waits_until_the_steward_approves_it(run, proposals):
    one = plan(run)
    assert proposals.standing(one.hash) == "unknown"
    assert proposals.propose(one, schema(run)) == "pending" == proposals.standing(one.hash)
    with pytest.raises(NotApprovedError):  # negative control: proposing is not approving
        Site(proposals.folder).approved(one.hash)
    assert proposals.approve(one.hash[:8]) == one
    assert proposals.propose(one, schema(run)) == "approved"
    assert Site(proposals.folder).approved(one.hash) == one
    assert proposals.schema(one) == run.schema
    assert [(entry.plan, entry.standing) for entry in proposals.every()] == [(one, "approved")]


def test_an_approval_is_the_same_file_as_a_site_always_kept(run, proposals, tmp_path):
    one = plan(run)
    proposals.propose(one, schema(run))
    proposals.approve(one.hash)
    approve(tmp_path / "other", one)
    name = f"approved/{one.hash}.json"
    assert (tmp_path / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_refused_plan_stays_refused(run, proposals):
    one = plan(run)
    proposals.propose(one, schema(run))
    assert proposals.refuse(one.hash, "we share no costs") == one.hash
    proposals.refuse(one.hash, "another reason")
    assert proposals.propose(one, schema(run)) == "refused" == proposals.standing(one.hash)
    with pytest.raises(ProposalError, match="stays so"):
        proposals.approve(one.hash)
    (entry,) = proposals.every()
    assert (entry.standing, entry.reason) == ("refused", "we share no costs")


def test_an_approval_can_be_taken_back(run, proposals):
    one = plan(run)
    approve(proposals.folder, one)  # also one that was never proposed
    assert proposals.refuse(one.hash, "we left") == one.hash
    with pytest.raises(NotApprovedError):
        Site(proposals.folder).approved(one.hash)
    assert (proposals.every()[0].plan, proposals.last_approved()) == (one, None)


@pytest.mark.parametrize("at", range(1, 8))
def test_a_crash_while_an_approval_is_taken_back_never_leaves_a_yes_after_a_no(
    run, proposals, monkeypatch, at
):
    """It dies at each sync in turn; whatever is left, the answer is the old one or forbids more."""
    one = plan(run)
    approve(proposals.folder, one)
    calls, honest = iter(range(1, 100)), os.fsync

    def dying(descriptor: int) -> None:
        if next(calls) == at:
            raise KeyboardInterrupt
        honest(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying)
        with suppress(KeyboardInterrupt):
            proposals.refuse(one.hash, "we left")
    left = proposals.standing(one.hash)
    acted = (proposals.folder / "approved" / f"{one.hash}.json").exists()
    assert left in ("approved", "pending", "refused")
    assert acted == (left == "approved")
    proposals.refuse(one.hash, "we left")
    assert proposals.standing(one.hash) == "refused"


def test_a_flood_pushes_nothing_out(run, proposals, monkeypatch):
    monkeypatch.setattr(module, "MOST_PENDING", 3)
    kept = [plan(run, number) for number in range(3)]
    for one in kept:
        proposals.propose(one, schema(run))
    with pytest.raises(ProposalError, match="takes in no more"):
        proposals.propose(plan(run, 3), schema(run))
    assert {entry.hash for entry in proposals.every()} == {one.hash for one in kept}
    assert proposals.propose(kept[0], schema(run)) == "pending"  # known ones are no flood
    proposals.refuse(kept[0].hash, "no")
    assert proposals.propose(plan(run, 3), schema(run)) == "pending"


def test_a_schema_that_is_not_the_plans_is_not_kept(run, proposals):
    other = run.schema.model_copy(update={"name": "other"})
    with pytest.raises(ProposalError, match="not the schema"):
        proposals.propose(plan(run), other.model_dump_json().encode())
    assert proposals.every() == []


def test_a_plan_that_protects_rows_where_the_schema_names_persons_is_not_kept(run, proposals):
    privacy = run.plan.privacy.model_copy(update={"unit": "add/remove one record"})
    with pytest.raises(ProposalError, match="the schema needs"):
        proposals.propose(run.plan.model_copy(update={"privacy": privacy}), schema(run))


@pytest.mark.parametrize("known", ["", "abc", "1234567", "../../../etc", "g" * 64, "0" * 65])
def test_what_is_no_hash_is_refused(run, proposals, known):
    proposals.propose(plan(run), schema(run))
    with pytest.raises(UnknownPlanError):
        proposals.find(known)
    assert proposals.standing(known) == "unknown"


def test_a_beginning_that_two_plans_share_names_neither(run, proposals):
    (proposals.folder / "proposed").mkdir()
    for end in "01":
        (proposals.folder / "proposed" / f"{'a' * 63}{end}.json").write_bytes(b"")
    with pytest.raises(UnknownPlanError, match="2 plans"):
        proposals.find("a" * 20)
    assert proposals.find("A" * 63 + "0") == "a" * 63 + "0"
    with pytest.raises(UnknownPlanError, match="no plan bbbbbbbb"):
        proposals.find("b" * 8)


def test_a_plan_altered_on_disk_is_not_approved(run, proposals):
    one = plan(run)
    proposals.propose(one, schema(run))
    path = proposals.folder / "proposed" / f"{one.hash}.json"
    path.write_bytes(path.read_bytes().replace(b'"epsilon":3.0', b'"epsilon":2.0'))
    with pytest.raises(StorageError, match="altered"):
        proposals.approve(one.hash)
    path.write_bytes(b"{}")
    with pytest.raises(StorageError, match="damaged"):
        proposals.approve(one.hash)
    assert proposals.every()[0].plan is None  # the list still shows it, and it can be refused
    proposals.refuse(one.hash, "damaged")


def test_the_last_approved_is_the_one_approved_before(run, proposals):
    for number in range(3):
        one = plan(run, number)
        proposals.propose(one, schema(run))
        proposals.approve(one.hash)
        path = proposals.folder / "approved" / f"{one.hash}.json"
        os.utime(path, ns=(number, number))
    assert proposals.last_approved() == plan(run, 2)
    assert proposals.last_approved(plan(run, 1).hash) == plan(run, 0)
    assert proposals.last_approved(plan(run, 0).hash) is None
    assert proposals.last_approved(plan(run, 7).hash) == plan(run, 2)  # not approved itself
