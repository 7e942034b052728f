"""A steward's day in a real browser: a plan is read and approved, the run goes on, it is paused, another is refused."""

import pytest

from client import standing
from client.dashboard.application import make
from client.proposals import Proposals
from client.site import Site
from common.errors import NotApprovedError
from common.run_config import load_run
from server import conduct
from server.bundle_pages import portable_generator
from server.bundling import Wanted, bundle
from server.finished import finished
from server.planned import planned
from tests import toy
from tests.server.conducted import RUN, admitted, run_of
from tests.web.browser import CHROMIUM, Window, browser, served  # noqa: F401 (a fixture)

pytestmark = CHROMIUM

NAMES = toy.HOSPITALS[:3]
NORTH = NAMES[0]
TRAINED = 'schedule = "every-step"\nrounds = 6\nsample_rate = 0.1\n'
WHY_RELEASED = "The records are made up, nobody is in them."
WHY_PAUSED, WHY_REFUSED = "audit of Mrs Miller", "we share no costs with Mr Smith"


@pytest.fixture
def federation(tmp_path, monkeypatch):
    monkeypatch.setattr(conduct, "_APPROVAL_PAUSE", 0.0)
    monkeypatch.setattr(conduct, "_RETURN_PAUSE", 0.0)
    return admitted(tmp_path, NAMES)


def proposed(made, sites, folder, name, epsilon):
    """A run whose plan the real vaults took in, and no steward has answered."""
    text = RUN.format(threshold=2, least=3).replace("3.0", str(epsilon)).replace('"toy"', f'"{name}"')
    (folder / "run.toml").write_text(text + TRAINED)
    plan = planned(made, load_run(folder / "run.toml"), None)
    run = run_of(made, plan)
    with pytest.raises(NotApprovedError):
        conduct.conduct(run.folder, sites.make)
    return run, plan


def test_a_stewards_day(federation, tmp_path, browser):  # noqa: F811
    made, sites = federation
    run, plan = proposed(made, sites, tmp_path, "diabetes-2027", 3.0)
    north = sites.folder / NORTH

    with (
        served(lambda port: make(north, read_only=False, port=port)) as (web, address),
        Window(browser) as window,
    ):
        page = window.page
        window.enter(web)

        # read, then approved with the keyboard alone
        assert page.inner_text("h1") == "This site is active"
        window.check("home-waiting")
        window.tab_to("diabetes-2027")
        page.keyboard.press("Enter")
        assert "ε 3 at δ 1e-5" in page.inner_text("dl")
        window.check("plan")
        window.tab_to("Approve…")
        page.keyboard.press("Enter")
        window.check("approve")
        window.tab_to("I have read the plan: ε 3, 3 sites.")
        page.keyboard.press("Space")
        window.tab_to("Approve")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/plans/{plan.hash}")
        assert Proposals(north).standing(plan.hash) == "approved"

        # the run, watched while it goes on
        for name in NAMES[1:]:
            Proposals(sites.folder / name).approve(plan.hash)
        page.goto(address + "/")
        looked = []

        def watched(site, header):
            if (site, header.kind, header.step) == (NAMES[1], "contribute", "train-0003"):
                page.wait_for_selector("text=5 of 9", timeout=15_000)
                window.check("home-running")
                looked.append(header.step)
            return True

        sites.before = watched
        conduct.conduct(run.folder, sites.make)
        assert looked == ["train-0003"]
        page.wait_for_selector("text=Nothing runs now", timeout=15_000)
        window.check("home-after")

        page.goto(address + "/budget")
        page.wait_for_selector("text=holds")
        charges = len(Site(north).ledger.entries())
        assert charges == len(plan.steps)
        assert f"{charges} charges" in page.inner_text("main")
        window.check("budget")
        page.goto(address + "/outbox")
        assert "part of opening a sum" in page.inner_text("main")
        window.check("outbox")
        page.goto(address + "/log")
        window.check("log")
        page.goto(address + "/plans")
        window.check("plans")
        page.goto(address + "/machine")
        window.check("machine")

        # the release comes, is verified, and played with
        bundle(
            finished(run.folder),
            north / "releases" / "diabetes",
            Wanted(licence="CC-BY-4.0", override=WHY_RELEASED),
            (portable_generator,),
        )
        page.goto(address + "/releases")
        page.wait_for_selector("text=verified")
        window.check("releases")
        page.click("text=Draw synthetic records")
        window.check("playground")

        # paused and let go on
        page.goto(address + "/standing")
        window.check("standing")
        page.fill("#pause-reason", WHY_PAUSED)
        page.click("button:text-is('Pause')")
        page.wait_for_selector("text=This site answers nothing")
        assert standing.state(north)[0] == "paused"
        window.check("standing-paused")
        page.click("button:text-is('Answer again')")
        page.wait_for_selector("text=This site answers its coordinator")

        # another plan, refused for a reason that stays here
        sites.before = lambda *_: True
        _, other = proposed(made, sites, tmp_path, "costs-2027", 4.5)
        page.goto(f"{address}/plans/{other.hash}")
        assert "ε promised: 3.0 → 4.5 (protects less)" in page.inner_text("main")
        window.check("plan-other")
        page.fill("#reason", WHY_REFUSED)
        page.click("button:text-is('Refuse for good')")
        page.wait_for_selector("text=which stays here")
        assert Proposals(north).standing(other.hash) == "refused"

        page.goto(address + "/check")
        page.select_option("#plan", plan.hash)
        page.click("button:text-is('Check now')")
        page.wait_for_selector("h2:text-matches('^(Ready|Not ready)$')")
        window.check("check")
