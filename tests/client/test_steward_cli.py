"""What a data steward types, and that pause and withdrawal hold whoever asks."""

import io
import json
import logging
import os
import shutil
import stat
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from client import standing
from client.membership import Membership
from client.outbox import Outbox
from client.own_site import site_in
from client.proposals import Proposals
from client.site import Site
from common import terminal
from common.authority import node_key_line
from common.crypto.secret_file import write_secret
from common.errors import ConfigError, PausedError, WithdrawnError
from common.plan import Party
from server.enrolment import enrol, make_keys
from tests import toy
from tests import typed as command_line
from tests.federation import LocalFederation

SITE = "site-east"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A federation with keys."""
    run = toy.run_folder(tmp_path_factory.mktemp("steward") / "run")
    federation = LocalFederation(run)
    asking = federation.asking()
    make_keys(asking, federation.secure_sum(), enrol(asking, run.schema))
    return run


@pytest.fixture
def site(template, tmp_path):
    """A site's folder, with keys of one approved plan."""
    shutil.copytree(template.folder / "sites" / SITE, tmp_path / SITE)
    return tmp_path / SITE


def other(template):
    """A plan that was not approved yet."""
    privacy = template.plan.privacy.model_copy(update={"epsilon": 4.5})
    return template.plan.model_copy(update={"run": "second", "privacy": privacy})


@pytest.fixture
def proposed(template, site):
    plan = other(template)
    Proposals(site).propose(plan, template.schema.model_dump_json().encode())
    return plan


def typed(*words, code: int = 0) -> str:
    done = command_line.typed("site", *words)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def data(*words, code: int = 0):
    envelope = json.loads(typed(*words, "--json", code=code))
    return envelope["data"] if envelope["status"] == "ok" else envelope["error"]


def test_plans_are_listed_read_and_approved(template, site, proposed):
    listed = {entry["hash"]: entry["standing"] for entry in data("plans", site)["plans"]}
    assert listed == {template.plan.hash: "approved", proposed.hash: "pending"}
    read = data("plans", site, proposed.hash[:8])
    assert read["compared_with"] == template.plan.hash
    assert [change["field"] for change in read["changes"]] == ["run", "privacy.epsilon"]
    said = typed("plans", site, proposed.hash[:8])
    assert "ε promised: 3.0 → 4.5 (protects less)" in said
    assert "this plan is pending" in said
    assert data("approve", site, proposed.hash[:8])["standing"] == "approved"
    assert Site(site).approved(proposed.hash) == proposed
    assert proposed.hash in typed("log", site, "-n", "1")
    assert "second" in typed("plans", site)


def test_a_refusal_keeps_its_reason_here(site, proposed):
    assert data("refuse", site, proposed.hash, "--reason", "too long")["standing"] == "refused"
    entry = next(e for e in data("plans", site)["plans"] if e["hash"] == proposed.hash)
    assert entry["reason"] == "too long"
    assert data("approve", site, proposed.hash, code=5)["code"] == "site-proposal"
    assert data("refuse", site, proposed.hash, code=2)["code"] == "usage"  # without a reason


def test_a_plan_for_others_cannot_be_approved(template, site):
    stranger = Party(name=SITE, identity="5" * 64)
    federation = template.plan.federation
    sites = tuple(stranger if party.name == SITE else party for party in federation.sites)
    plan = template.plan.model_copy(update={"federation": federation.model_copy(update={"sites": sites})})
    Proposals(site).propose(plan, template.schema.model_dump_json().encode())
    assert data("approve", site, plan.hash, code=2)["code"] == "site-not-ready"
    assert Proposals(site).standing(plan.hash) == "pending"


def test_a_plan_of_another_coordinator_cannot_be_approved(template, site, proposed):
    node_key = node_key_line(ec.generate_private_key(ec.SECP384R1()).public_key())

    def join(coordinator: Party) -> None:
        membership = Membership(
            federation="toy",
            site=SITE,
            address="127.0.0.1:8443",
            coordinator=coordinator,
            schema_hash=template.schema.hash,
            node_key=node_key,
            joined=datetime(2026, 1, 1, tzinfo=UTC),
        )
        write_secret(site / "membership.json", membership.model_dump_json().encode())

    join(Party(name="coordinator", identity="6" * 64))
    assert "another coordinator" in data("approve", site, proposed.hash, code=2)["message"]
    join(proposed.federation.coordinator)  # negative control
    assert data("approve", site, proposed.hash)["standing"] == "approved"


def test_the_outbox_is_filtered_and_added_up(site):
    for path in site.glob("outbox*.jsonl"):  # of the ceremony
        path.unlink()
    outbox = Outbox(site)
    for plan, size in (("a" * 64, 10), ("b" * 64, 2000)):
        outbox.note(b"x" * size, kind="contribution", plan=plan, step="count")
    outbox.note(b"no", kind="refused", plan="", step="")
    everything = data("outbox", site)
    assert everything["totals"] == {
        "contribution": {"frames": 2, "bytes": 2010},
        "refused": {"frames": 1, "bytes": 2},
    }
    assert [line["bytes"] for line in data("outbox", site, "--plan", "bb")["lines"]] == [2000]
    assert data("outbox", site, "--since", "2999-01-01")["lines"] == []
    assert len(data("outbox", site, "--since", "2020-01-01")["lines"]) == 3
    assert data("outbox", site, "--since", "yesterday", code=2)["code"] == "config"
    assert "all: 3 times, 2.0 kB" in typed("outbox", site)


@pytest.mark.parametrize("since", ["2026-13-45", "2026-02-30", "20260101", "2026-W01-1", ""])
def test_a_day_that_there_is_not_is_refused(site, since):
    assert data("outbox", site, "--since", since, code=2)["code"] == "config"


def test_a_plan_that_neither_left_nor_was_proposed_is_unknown(site, proposed):
    assert data("outbox", site, "--plan", "xyz", code=2)["code"] == "unknown-plan"
    assert data("outbox", site, "--plan", "0123456789", code=2)["code"] == "unknown-plan"
    assert data("outbox", site, "--plan", proposed.hash[:8].upper())["lines"] == []


def test_a_pause_holds_until_it_is_ended_and_says_no_reason(site):
    standing.check(site)
    typed("pause", site, "--reason", "audit of Mrs Miller")
    with pytest.raises(PausedError) as raised:
        standing.check(site)
    assert "Miller" not in raised.value.message + raised.value.hint
    now, marker = standing.state(site)
    assert (now, marker.reason) == ("paused", "audit of Mrs Miller")
    assert "Miller" in (site / "site.log").read_text()
    assert data("unpause", site)["was_paused"]
    standing.check(site)
    assert not data("unpause", site)["was_paused"]


def test_a_damaged_marker_still_holds(site):
    (site / "paused").write_bytes(b"")
    with pytest.raises(PausedError):
        standing.check(site)
    assert standing.state(site) == ("paused", None)


@pytest.mark.parametrize("act", [standing.pause, standing.withdraw])
def test_a_reason_is_needed(site, act):
    with pytest.raises(ConfigError, match="reason"):
        act(site, " ")
    standing.check(site)


def test_withdrawing_asks_or_needs_a_yes(site):
    typed("withdraw", site, "--reason", "we leave", code=2)
    assert data("withdraw", site, "--reason", "we leave", code=2)["code"] == "usage"
    standing.check(site)
    assert list((site / "runs").glob("*/share.key"))


def test_withdrawing_removes_every_key_and_nothing_else(template, site):
    run = site / "runs" / template.plan.hash
    write_secret(run / "piece.key.new", b"left by a crash")
    before = {path for path in site.rglob("*") if path.is_file()}
    keys = {path for path in before if path.parent == run and ".key" in path.name}
    assert {"share.key", "group.key", "pairs.key", "agreement.key", "piece.key"} <= {k.name for k in keys}
    assert {"schema.json", "ledger.jsonl", "outbox.jsonl"} <= {path.name for path in before}
    removed = data("withdraw", site, "--reason", "we leave", "--yes")["removed"]
    assert {site / path for path in removed} == keys
    after = {path for path in site.rglob("*") if path.is_file()}
    assert before - after == keys
    with pytest.raises(WithdrawnError) as raised:
        standing.check(site)
    assert "we leave" not in raised.value.message + raised.value.hint
    for act in (lambda: standing.unpause(site), lambda: standing.pause(site, "later")):
        with pytest.raises(WithdrawnError):
            act()
    write_secret(run / "share.key", b"from a backup")
    assert standing.withdraw(site, "again") == [run / "share.key"]
    assert standing.state(site)[1].reason == "we leave"


def test_a_crash_while_withdrawing_forbids_at_least_as_much(site, monkeypatch):
    honest, calls = os.fsync, iter(range(100))

    def dying(descriptor: int) -> None:
        if next(calls) == 4:
            raise KeyboardInterrupt
        honest(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying)
        with pytest.raises(KeyboardInterrupt):
            standing.withdraw(site, "we leave")
    with pytest.raises(WithdrawnError):
        standing.check(site)
    assert list((site / "runs").glob("*/*.key"))
    standing.withdraw(site, "we leave")
    assert not list((site / "runs").glob("*/*.key"))


def test_the_steward_writes_nothing_that_others_can_read(site, proposed):
    typed("approve", site, proposed.hash)
    typed("refuse", site, proposed.hash, "--reason", "no")
    typed("pause", site, "--reason", "no")
    for path in (*site.glob("*/*.json"), site / "paused"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.parent.name == "approved"


@pytest.mark.parametrize("command", ["plans", "outbox", "log", "unpause", "check"])
def test_a_folder_without_a_site_is_left_alone(tmp_path, command):
    assert data(command, tmp_path / "nowhere", code=2)["code"] == "config"
    assert not (tmp_path / "nowhere").exists()


def test_what_is_piped_is_not_cut(site):
    """All of it in one line, however many columns that takes: more than 80 here."""
    noted = Outbox(site).note(b"x" * 2_000_000, kind="contribution", plan="ab" * 32, step="train-0001")
    (line,) = [line for line in typed("outbox", site).splitlines() if noted.step in line]
    for part in (noted.time, noted.kind, noted.plan[:12], "2,000,000", noted.sha256[:16]):
        assert part in line
    assert "…" not in line


def test_a_terminal_gets_no_more_than_fits():
    shown = type(terminal.output)(force_terminal=True, width=80, file=io.StringIO())
    shown.print("word " * 40)
    assert max(map(len, shown.file.getvalue().splitlines())) <= 80


def test_lines_of_the_log_cannot_move_the_cursor(site):
    (site / "site.log").write_text("one\ntwo \x1b[2J\nthree\n")
    assert typed("log", site, "-n", "2") == "two \\u001b[2J\nthree\n"
    assert data("log", site)["lines"][0] == "one"


@pytest.fixture(autouse=True)
def _closed_logs():
    yield
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("fedcgan.site."):
            for handler in logging.getLogger(name).handlers:
                handler.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user than the folder's owner")
def test_root_changes_nothing_in_a_folder_of_another_user(site):
    os.chown(site, 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to user 12345"):
        site_in(site)
    os.chown(site, 0, 0)
    assert site_in(site).name == SITE
