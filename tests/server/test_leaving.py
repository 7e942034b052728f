"""Sites that come late, are paused in the middle of a run, or leave for good: as the plan says, in words."""

import pytest
from rich.console import Console

from client.site import Site
from client.standing import pause, unpause, withdraw
from common.errors import InterruptedRunError, NotEnoughSitesError, RefusedError
from common.protocol.messages import Contribute, KeyDeal
from server import conduct
from server.run_table import table
from tests import toy

from .conducted import admitted, approved_run, plan_of

NAMES = toy.HOSPITALS


@pytest.fixture
def made(tmp_path, monkeypatch):
    """An approved run of four sites, ``least`` of which are enough for a sum."""
    monkeypatch.setattr(conduct, "_APPROVAL_PAUSE", 0.0)
    monkeypatch.setattr(conduct, "_RETURN_PAUSE", 0.0)

    def make(least, **patience):
        folder, sites = admitted(tmp_path, NAMES)
        plan = plan_of(folder, tmp_path, threshold=3, least=least)
        return approved_run(folder, sites, plan, **patience), sites

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
        assert charged == ([] if name == "south" else ["count", "measure", "evaluate"])


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
    run, sites = made(least=4, away=3600.0)
    sites.before = at_first(Contribute.kind, lambda: withdraw(sites.folder / "south", "the study is over"))
    with pytest.raises(RefusedError, match="south refused: the site has left the federation"):
        conduct.conduct(run.folder, sites.make)  # at once: there is nothing to wait for
    failure = run.status.failure
    assert (run.status.state, failure.code) == ("failed", "site-withdrawn")
    assert "new runs without it" in failure.hint
    assert "the study is over" not in run.status.model_dump_json()


def test_a_site_that_comes_late_is_waited_for(made):
    run, sites = made(least=4, away=3600.0)
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
    run, sites = made(least=4, away=3600.0)
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
