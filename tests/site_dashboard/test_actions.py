"""What a steward can do here is what the commands do, and only for whoever came in by the link."""

import pytest

from client import standing
from client.proposals import Proposals
from client.site import Site
from client.vault import Vault
from common.plan import Party
from common.protocol import frames
from common.protocol.messages import Refused
from tests.web.inside import code

from .test_pages import settled, text

WHY = "audit of Mrs Miller"


def files(folder):
    """What there is and what it holds, but for locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def actions(plan):
    return {
        f"/plans/{plan}/approve": {"read": "yes"},
        f"/plans/{plan}/refuse": {"reason": WHY},
        "/check": {"plan": ""},
        "/standing/pause": {"reason": WHY},
        "/standing/go-on": {"field": "of no use"},
        "/standing/withdraw": {"name": "site-east", "reason": WHY},
    }


def test_a_plan_is_approved_once_its_cost_was_read(folder, inside, proposed):
    path = f"/plans/{proposed.hash}/approve"
    shown = text(inside.get(path))
    assert "ε 4.5" in shown
    assert "4 sites" in shown
    unread = inside.act(path)
    assert (unread.status_code, code(unread)) == (400, "usage")
    assert Proposals(folder).standing(proposed.hash) == "pending"
    answer = inside.act(path, read="yes")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/plans/{proposed.hash}")
    assert Site(folder).approved(proposed.hash) == proposed
    assert f"plan {proposed.hash} approved by the steward" in (folder / "site.log").read_text()


def test_an_approval_makes_the_checks_of_the_command(folder, inside, ran, other):
    stranger = Party(name=folder.name, identity="5" * 64)
    federation = other.federation
    sites = tuple(stranger if party.name == folder.name else party for party in federation.sites)
    plan = other.model_copy(update={"federation": federation.model_copy(update={"sites": sites})})
    Proposals(folder).propose(plan, ran.run.schema.model_dump_json().encode())
    answer = inside.act(f"/plans/{plan.hash}/approve", read="yes")
    assert (answer.status_code, code(answer)) == (400, "site-not-ready")
    assert Proposals(folder).standing(plan.hash) == "pending"


def test_a_refusal_needs_a_reason_that_never_leaves(folder, inside, ran, proposed):
    path = f"/plans/{proposed.hash}/refuse"
    blank = inside.act(path, reason=" ")
    assert (blank.status_code, code(blank)) == (400, "config")
    assert Proposals(folder).standing(proposed.hash) == "pending"
    assert inside.act(path, reason=WHY).status_code == 303
    assert Proposals(folder).standing(proposed.hash) == "refused"
    assert WHY in text(inside.get(f"/plans/{proposed.hash}"))
    again = inside.act(f"/plans/{proposed.hash}/approve", read="yes")
    assert code(again) == "site-proposal"
    inside.act("/standing/pause", reason=WHY)
    sent = Vault(folder).handle(b"whatever the coordinator asks")
    assert Refused.from_bytes(frames.read(sent, len(sent)).body).code
    kept = files(folder)
    holding = {name for name, content in kept.items() if WHY.encode() in content}
    # ledger, outbox, events and answers are what is sent, or tells of it
    assert holding == {"site.log", "paused", f"refused/{proposed.hash}.json"}
    assert WHY.encode() not in sent


def test_an_approval_is_taken_back(folder, inside, ran):
    assert inside.act(f"/plans/{ran.plan.hash}/refuse", reason=WHY).status_code == 303
    assert Proposals(folder).standing(ran.plan.hash) == "refused"


def test_a_pause_holds_until_it_is_ended(folder, inside):
    blank = inside.act("/standing/pause", reason="")
    assert (blank.status_code, code(blank)) == (400, "config")
    assert standing.state(folder)[0] == "active"
    assert inside.act("/standing/pause", reason=WHY).status_code == 303
    now, marker = standing.state(folder)
    assert (now, marker.reason) == ("paused", WHY)
    assert inside.act("/standing/go-on").status_code == 303
    assert standing.state(folder)[0] == "active"


def test_withdrawing_needs_the_sites_name_and_removes_what_it_said(folder, inside):
    page = text(inside.get("/standing"))
    keys = standing.keys_of_runs(folder)
    assert keys
    assert all(str(path.relative_to(folder)) in page for path in keys)
    before = files(folder)
    for fields in (
        {"reason": WHY},
        {"reason": WHY, "name": "site-west"},
        {"name": folder.name, "reason": ""},
    ):
        assert inside.act("/standing/withdraw", **fields).status_code == 400
        assert files(folder) == before
    assert inside.act("/standing/withdraw", name=folder.name, reason=WHY).status_code == 303
    after = files(folder)
    gone = {name for name in before if name not in after}
    assert gone == {str(path.relative_to(folder)) for path in keys}
    assert standing.state(folder)[0] == "withdrawn"
    assert "has left" in text(inside.get("/"))
    refused = inside.act("/standing/pause", reason=WHY)
    assert code(refused) == "site-withdrawn"


def test_a_check_is_made_in_the_background_and_changes_nothing(folder, inside, proposed):
    before = files(folder)
    assert inside.act("/check", plan=proposed.hash).status_code == 303
    said = text(settled(inside, "/check", "/", 'http-equiv="refresh"'))
    assert "Not ready" in said or "Ready" in said
    assert "the records fit schema 'toy'" in said
    assert "ε spent" in said
    assert files(folder) == before
    unknown = inside.act("/check", plan="0" * 64)
    assert code(unknown) == "unknown-plan"


def test_a_check_of_records_that_do_not_fit_says_which_column(folder, inside):
    site = Site(folder)
    policy = folder / "policy.toml"
    import pandas as pd

    frame = pd.read_parquet(site.records)
    frame.loc[frame.index[3], "age"] = 977.0
    frame.to_parquet(folder / "wrong.parquet")
    policy.write_text(policy.read_text().replace(site.policy.records, "wrong.parquet"))
    plan = next(iter(Proposals(folder).every())).hash
    inside.act("/check", plan=plan)
    said = text(settled(inside, "/check", "/", 'http-equiv="refresh"'))
    assert "Not ready" in said
    assert "age" in said
    assert "977" not in said  # a value is never quoted


def test_whoever_only_looks_can_do_nothing(folder, reader, ran, proposed):
    before = files(folder)
    for path, fields in actions(proposed.hash).items():
        assert reader.act(path, **fields).status_code in (404, 405), path
    assert files(folder) == before
    for page in ("/", f"/plans/{proposed.hash}", f"/plans/{proposed.hash}/approve", "/standing", "/check"):
        shown = reader.get(page).text
        assert shown.count("<form") == 1, page  # to sign out
        assert "read only" in shown


@pytest.mark.parametrize(
    "missing",
    [
        {"csrf": None},
        {"csrf": "0" * 43},
        {"headers": {"Origin": "https://example.org"}},
        {"headers": {"Origin": None}},
    ],
)
def test_no_other_page_can_do_anything(folder, inside, proposed, missing):
    before = files(folder)
    for path, fields in actions(proposed.hash).items():
        assert inside.act(path, **{**fields, **missing}).status_code == 403, path
    assert files(folder) == before


def test_without_a_session_nothing_is_shown_or_done(folder, inside, proposed):
    before = files(folder)
    inside.cookies.clear()
    for page in (
        "/",
        "/plans",
        "/budget",
        "/budget/part",
        "/outbox",
        "/log",
        "/check/live",
        "/releases/part",
    ):
        assert inside.get(page).status_code == 401, page
    for path, fields in actions(proposed.hash).items():
        assert inside.act(path, **fields).status_code == 401, path
    assert files(folder) == before
