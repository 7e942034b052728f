"""Sites that come late, are paused in the middle of a run, or leave for good: as the plan says, in words."""

import pytest
from rich.console import Console

from client.proposals import Proposals
from client.site import Site
from client.standing import pause, unpause, withdraw
from client.vault import Vault
from common.errors import InterruptedRunError, NotApprovedError, NotEnoughSitesError, RefusedError
from common.protocol import frames
from common.protocol.messages import Contribute, KeyDeal
from common.run_config import load_run
from server import conduct
from server.planned import planned
from server.run_folder import Conditions, RunFolder, node_digest
from server.run_table import table
from tests import toy

from .invitations import federation, joined, kit

NAMES = toy.HOSPITALS
RUN = """
name = "toy"
[federation]
threshold = 3
min_contributors = {least}
[privacy]
epsilon = 3.0
delta = 1e-5
[model]
latent = 8
generator_hidden = [16]
[training]
records_per_site = 100
fit_steps = 5
"""


class Sites:
    """The sites of a federation; ``before(site, header)`` sees every question and may say who is away."""

    def __init__(self, folder):
        self.folder = folder
        self.before = lambda *_: True

    def make(self, _run, _plan, seen):
        self.vaults = {name: Vault(self.folder / name) for name in NAMES}
        self.seen = seen
        return self

    def send(self, asked):
        answers = {}
        for site, raw in asked.items():
            there = self.before(site, frames.read(raw, len(raw)).header)
            self.seen(site, "ready" if there else "gone")
            if there:
                answers[site] = self.vaults[site].handle(raw)
        return answers


@pytest.fixture
def made(tmp_path, monkeypatch):
    """An approved run of four sites, ``least`` of which are enough for a sum."""
    monkeypatch.setattr(conduct, "_APPROVAL_PAUSE", 0.0)
    monkeypatch.setattr(conduct, "_RETURN_PAUSE", 0.0)

    def make(least, **patience):
        folder = federation(tmp_path / "federation")
        frame = toy.records()
        for name in NAMES:
            site = tmp_path / name
            site.mkdir()
            frame[frame.hospital == name].drop(columns="hospital").to_csv(site / "records.csv", index=False)
            folder.admit(joined(kit(folder, name, site), tmp_path / "sites", epsilon_cap=10.0).reply)
        (tmp_path / "run.toml").write_text(RUN.format(least=least))
        plan = planned(folder, load_run(tmp_path / "run.toml"), None)
        members = {member.name: member for member in folder.members()}
        nodes = {name: node_digest(members[name].node_key) for name in NAMES}
        times = {"answer_seconds": 1.0, "approval_seconds": 0.0, "return_seconds": 0.0, **patience}
        identity = str(folder.folder / "identity.key")
        run = RunFolder.make(folder, plan, Conditions(nodes=nodes, identity=identity, **times))
        sites = Sites(tmp_path / "sites")
        with pytest.raises(NotApprovedError):
            conduct.conduct(run.folder, sites.make)
        for name in NAMES:
            Proposals(sites.folder / name).approve(plan.hash)
        return run, sites

    return make


def shown(status) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table(status))
    return captured.get()


def at_first(kind, act):
    """Do ``act`` once, before the first question of this kind."""
    done = []

    def before(site, header):
        if header.kind == kind and not done:
            done.append(True)
            act()
        return True

    return before


def test_a_site_that_leaves_after_the_keys_are_made_is_done_without(made):
    run, sites = made(least=3)
    sites.before = at_first(Contribute.kind, lambda: withdraw(sites.folder / "south", "the study is over"))
    conduct.conduct(run.folder, sites.make)
    status = run.status
    assert status.state == "finished"
    assert {name: site.state for name, site in status.sites.items()} == dict.fromkeys(NAMES, "ready") | {
        "south": "withdrawn"
    }
    assert "south  has left the federation for good" in shown(status)
    for name in NAMES:
        charged = [charge.step for charge in Site(sites.folder / name).ledger.entries()]
        assert charged == ([] if name == "south" else ["count", "measure"])


def test_who_left_while_the_run_was_interrupted_is_done_without_too(made):
    run, sites = made(least=3)

    def interrupt(_site, header):
        if header.kind == Contribute.kind:
            raise KeyboardInterrupt
        return True

    sites.before = interrupt
    with pytest.raises(InterruptedRunError):
        conduct.conduct(run.folder, sites.make)
    assert run.status.state == "interrupted"
    withdraw(sites.folder / "south", "the study is over")
    sites.before = lambda *_: True
    conduct.conduct(run.folder, sites.make)
    assert run.status.state == "finished"
    assert run.status.sites["south"].state == "withdrawn"


def test_if_too_few_are_left_the_run_fails_and_says_who_left(made):
    run, sites = made(least=4, return_seconds=3600.0)
    sites.before = at_first(Contribute.kind, lambda: withdraw(sites.folder / "south", "the study is over"))
    with pytest.raises(RefusedError, match="south refused: the site has left the federation"):
        conduct.conduct(run.folder, sites.make)  # at once: there is nothing to wait for
    failure = run.status.failure
    assert (run.status.state, failure.code) == ("failed", "site-withdrawn")
    assert "new runs without it" in failure.hint
    assert "the study is over" not in run.status.model_dump_json()


def test_a_site_that_comes_late_is_waited_for(made):
    run, sites = made(least=4, return_seconds=3600.0)
    asked, states = [], []

    def late(site, header):
        if site != "south" or header.kind != KeyDeal.kind:
            return True
        asked.append(header.step)
        states.append(run.status.sites["south"].state)
        return len(asked) > 3

    sites.before = late
    conduct.conduct(run.folder, sites.make)
    assert run.status.state == "finished"
    assert len(asked) == 4
    assert "gone" not in states[:1]


def test_it_is_not_waited_for_longer_than_was_said(made):
    run, sites = made(least=4)
    sites.before = lambda site, header: site != "south" or header.kind != Contribute.kind
    with pytest.raises(NotEnoughSitesError):
        conduct.conduct(run.folder, sites.make)
    assert run.status.failure.code == "protocol-not-enough-sites"
    assert "not connected" in shown(run.status)
    sites.before = lambda *_: True
    conduct.conduct(run.folder, sites.make)  # fedcgan resume
    assert run.status.state == "finished"


def test_a_site_paused_in_the_middle_is_waited_for(made):
    run, sites = made(least=4, return_seconds=3600.0)
    stop = at_first(Contribute.kind, lambda: pause(sites.folder / "south", "an inspection"))
    states = []

    def before(site, header):
        stop(site, header)
        states.append(run.status.sites["south"].state)
        if states.count("paused") > 6:
            unpause(sites.folder / "south")
        return True

    sites.before = before
    conduct.conduct(run.folder, sites.make)
    assert (run.status.state, run.status.sites["south"].state) == ("finished", "ready")
    assert "paused" in states
