"""What each page of a site's dashboard says, also of what is damaged."""

import html
import os
import re
import socket
import time

import pytest

from client.dashboard.application import NAV, make
from client.dashboard.words import ago, until, when
from client.door import SOCKET, listens
from client.membership import courier_folder
from client.outbox import Outbox
from client.proposals import Proposals
from client.site import Site
from client.standing import pause
from common.errors import ConfigError
from common.plan import train_step
from tests.bundle.made import CANARY_COST, CANARY_PATIENT
from tests.web.inside import code

PAGES = [path for _, path in NAV]


def text(answer):
    """What a person reads."""
    assert answer.status_code == 200, answer.text
    main = answer.text.partition("<main")[2].partition("</main>")[0] or answer.text
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", main)))


def settled(inside, path, part, sign, patience=20.0):
    """A page whose part is worked out in the background."""
    deadline = time.monotonic() + patience
    while sign in (answer := inside.get(path)).text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        inside.get(part)
    return answer


def test_home_says_how_the_site_stands(inside, ran, proposed):
    said = text(inside.get("/"))
    assert "This site is active" in said
    assert "1 plan waits" in said
    assert f"Nothing runs now; run '{ran.plan.run}' asked last, just now." in said
    assert "no courier: a simulated site" in said
    assert "contribution: an encrypted, noisy sum" in said
    said = text(settled(inside, "/", "/budget/part", "Being computed"))
    assert re.search(rf"ε {ran.plan.privacy.epsilon:.3f} of \d", said) or "ε 2.99" in said


def test_home_shows_a_run_that_goes_on(folder, inside, ran):
    """As it is until the last step: the ledger does not say that the run is over, the approval stands."""
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    assert b'"finished"' in lines[-1]
    (folder / "ledger.jsonl").write_bytes(b"".join(lines[:-1]))
    site = Site(folder)
    import hashlib
    import json

    head = {"last": hashlib.sha256(lines[-2]).hexdigest(), "lines": len(lines) - 2}
    (folder / "ledger.head").write_text(json.dumps(head))
    assert not site.ledger.outcomes()
    said = text(inside.get("/"))
    steps = len(ran.plan.steps)
    assert f"It is at work for run '{ran.plan.run}': {steps} of {steps} steps answered." in said
    assert "Run in progress" in said
    Proposals(folder).refuse(ran.plan.hash, "we leave")  # negative control: no more
    time.sleep(0.01)
    assert "Run in progress" not in text(inside.get("/"))


def test_home_says_whether_the_vault_runs(folder, inside):
    courier = courier_folder(folder)
    courier.mkdir()
    assert "vault does not run" in text(inside.get("/"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(courier / SOCKET))
        assert not listens(courier)  # a socket nobody listens at
        listener.listen(1)
        assert listens(courier)
        inside.web.app.state.site._vault = (float("-inf"), False)
        assert "vault runs" in text(inside.get("/"))
    assert not listens(courier)  # what a dead vault leaves


def test_a_plan_is_told_in_words_with_what_it_changes_costs_and_sends(inside, ran, proposed):
    assert "second" in text(inside.get("/plans")).partition("Answered")[0]
    said = text(inside.get(f"/plans/{proposed.hash}"))
    assert "ε promised: 3.0 → 4.5 (protects less)" in said
    assert ran.plan.hash[:12] in said
    assert "What leaves, in bytes" in said
    assert "Who can open what" in said
    assert "Attention The plan promises" not in said
    now, after = (float(one) for one in re.findall(r"ε (\d+\.\d{3}) (?:after|Approve)", said))
    assert now < after
    assert code_of(inside.get(f"/plans/{'0' * 64}")) == "unknown-plan"


def test_a_plan_beyond_the_cap_says_so(folder, inside, proposed):
    policy = folder / "policy.toml"
    policy.write_text(policy.read_text().replace("epsilon_cap = 10.0", "epsilon_cap = 4.0"))
    said = text(inside.get(f"/plans/{proposed.hash}"))
    assert "after this plan above the cap" in said
    assert "The plan does not fit: epsilon would go from " in said


def code_of(answer):
    assert answer.status_code == 400
    return code(answer)


def test_what_speaks_against_a_plan_comes_first(folder, inside, ran, other):
    federation = other.federation
    sites = tuple(party for party in federation.sites if party.name != folder.name)
    changed = federation.model_copy(
        update={"sites": sites, "key_holders": 3, "threshold": 2, "min_contributors": 3}
    )
    plan = other.model_copy(update={"federation": changed})
    Proposals(folder).propose(plan, ran.run.schema.model_dump_json().encode())
    said = text(inside.get(f"/plans/{plan.hash}"))
    assert said.index(f"This site, {folder.name}, is not among them.") < said.index("What changes")
    confirm = text(inside.get(f"/plans/{plan.hash}/approve"))
    assert f"This site, {folder.name}, is not among them." in confirm
    assert "3 sites" in confirm


def test_a_damaged_plan_can_only_be_refused(folder, inside, proposed):
    (folder / "proposed" / f"{proposed.hash}.json").write_bytes(b"{}")
    said = text(inside.get(f"/plans/{proposed.hash}"))
    assert "A plan that cannot be read" in said
    assert inside.act(f"/plans/{proposed.hash}/approve", read="yes").status_code == 400
    assert inside.act(f"/plans/{proposed.hash}/refuse", reason="damaged").status_code == 303
    assert Proposals(folder).standing(proposed.hash) == "refused"


def test_the_ledger_is_told_by_plan_and_kind_of_step(inside, ran):
    said = text(settled(inside, "/budget", "/budget/part", "hx-trigger"))
    charges = len(ran.plan.steps)
    assert f"of {charges} charges at δ 1e-5" in said
    assert "two data sets are neighbours if one subject is added or removed" in said
    assert (
        f"holds {charges} charges, {charges} answers; {charges} stored contributions, all in the ledger"
        in said
    )
    assert f"DP-SGD: {ran.plan.train.local_steps} steps, each subject drawn with probability 0.1" in said
    assert "run finished" in said
    assert said.count("train: training on records") == 1


@pytest.mark.parametrize("damage", ["altered", "older"])
def test_a_ledger_that_does_not_hold_is_said_everywhere(folder, inside, damage):
    path = folder / "ledger.jsonl"
    if damage == "altered":
        path.write_bytes(path.read_bytes().replace(b'"step":"measure"', b'"step":"measurf"'))
        assert "ledger" in text(inside.get("/"))
        said = text(settled(inside, "/budget", "/budget/part", "hx-trigger"))
        assert "is damaged" in said
    else:  # of before the run: whole in itself, but answers left that it does not know
        first = path.read_bytes().splitlines(keepends=True)[0]
        path.write_bytes(first)
        import hashlib
        import json

        (folder / "ledger.head").write_text(
            json.dumps({"last": hashlib.sha256(first).hexdigest(), "lines": 0})
        )
        said = text(settled(inside, "/budget", "/budget/part", "hx-trigger"))
        assert "does not hold" in said
        assert "was answered, the ledger does not know it" in said
        assert "Nothing was ever charged" in said


def test_the_outbox_is_filtered_counted_and_turned_over(folder, inside, ran):
    path = folder / "outbox.jsonl"
    path.unlink()
    outbox = Outbox(folder)
    for number in range(120):
        plan = ran.plan.hash if number % 2 else "b" * 64
        outbox.note(b"x" * number, kind="contribution", plan=plan, step=train_step(number + 1))
    outbox.note(b"no", kind="refused", plan="", step="")
    text_before = path.read_text()
    today = time.strftime("%Y-%m-%d", time.gmtime())
    older = text_before.replace(today, "2026-01-31", 60)
    path.write_text(older)

    said = text(inside.get("/outbox"))
    assert "all together 121" in said
    assert "page 1 of 3" in said
    assert said.index("train-0120") < said.index("train-0119")
    assert "train-0001" in text(inside.get("/outbox", params={"page": 3}))
    said = text(inside.get("/outbox", params={"plan": "b" * 64, "day": "2026-01-31"}))
    assert "all together 30" in said
    assert "train-0119" not in said
    said = text(inside.get("/outbox", params={"plan": "none"}))
    assert "all together 1" in said
    assert "Nothing of this left the site." in text(inside.get("/outbox", params={"day": "2025-01-01"}))
    assert "Nothing of this" in text(inside.get("/outbox", params={"plan": "c" * 64}))
    assert "page 3 of 3" in text(inside.get("/outbox", params={"page": 99}))
    outbox.note(b"later", kind="contribution", plan="b" * 64, step="last")
    assert "last" in text(inside.get("/outbox"))
    path.unlink()  # moved elsewhere: it is read anew
    assert "Nothing has left this site yet" in text(inside.get("/outbox"))


def test_a_damaged_outbox_is_said(folder, inside):
    path = folder / "outbox.jsonl"
    path.write_bytes(b"{}\n" + path.read_bytes())
    assert "line 1 cannot be read" in inside.get("/outbox").text
    assert "line 1 cannot be read" in text(inside.get("/"))


def test_the_log_is_the_sites_own_and_moves_no_cursor(folder, inside, ran):
    with (folder / "site.log").open("a") as log:
        log.write("2027-01-01 00:00:00,001 WARNING refused '\x1b[2J<script>'\n")
    everything = inside.get("/log")
    assert "\x1b" not in everything.text
    assert "<script>" not in everything.text
    assert "answered contribute" in text(everything)
    warnings = text(inside.get("/log", params={"level": "WARNING"}))
    assert "<script>" in warnings
    assert "answered contribute measure," not in warnings.partition("Events")[0]
    answered = f"Asked for a contribution in step measure of run '{ran.plan.run}', the site answered."
    assert answered in text(everything)


def test_the_machine_is_described(inside, folder):
    said = text(inside.get("/machine"))
    assert "CPU (auto: a GPU if there is one)" in said or "cuda" in said
    policy = folder / "policy.toml"
    policy.write_text('device = "cuda:99"\n' + policy.read_text())
    assert "torch sees" in text(inside.get("/machine/part"))


def test_a_pause_is_told_with_its_reason(folder, inside):
    pause(folder, "audit of Mrs Miller")
    said = text(inside.get("/"))
    assert "This site is paused" in said
    assert "audit of Mrs Miller" in said
    assert "audit of Mrs Miller" in text(inside.get("/standing"))


def test_no_page_shows_a_record(inside, proposed):
    for page in [*PAGES, f"/plans/{proposed.hash}"]:
        shown = inside.get(page).text
        assert str(CANARY_PATIENT) not in shown
        assert str(CANARY_COST) not in shown
    assert "second" in inside.get("/plans").text  # negative control: pages do show what they are to show


def test_a_folder_without_a_site_gets_none(tmp_path):
    with pytest.raises(ConfigError, match="no site"):
        make(tmp_path / "nowhere", read_only=False, port=1)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user than the folder's owner")
@pytest.mark.parametrize("read_only", [False, True])
def test_nobody_but_the_vaults_user_gets_one(folder, read_only):
    os.chown(folder, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to user 12345"):
        make(folder, read_only=read_only, port=1)
    os.chown(folder, 0, 0)
    assert make(folder, read_only=read_only, port=1)


def test_pages_do_not_wait_for_the_vault(folder, inside, proposed):
    """It holds the site's lock for as long as it works on a message."""
    with Site(folder).locked():
        for page in [*PAGES, f"/plans/{proposed.hash}"]:
            assert inside.get(page, timeout=30).status_code == 200, page
        assert inside.act("/standing/pause", reason="at once").status_code == 303


def test_times_are_read_by_people():
    from datetime import UTC, datetime, timedelta

    noon = datetime(2027, 1, 31, 12, tzinfo=UTC)
    said = [ago(noon - timedelta(seconds=s), noon) for s in (5, 61, 7_300, 200_000)]
    assert said == ["just now", "1 min ago", "2 h ago", "2 days ago"]
    assert when("2027-01-31T12:00:00+00:00") == "31 Jan 2027, 12:00:00"
    assert until("2027-01-31T12:00:00+00:00", "2027-01-31T11:00:00+00:00") == "12:00:00"
    assert until("2027-02-01T12:00:00+00:00", "2027-01-31T11:00:00+00:00") == "1 Feb 2027, 12:00:00"
    assert (when("yesterday"), when(None)) == ("yesterday", "\N{EN DASH}")
