"""A steward's day in a real browser: a plan is approved, its run watched, another plan refused."""

import socket

import pytest

from client import standing
from client.dashboard.application import NAV, make
from client.door import SOCKET
from client.membership import courier_folder
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
WHY_PAUSED, WHY_REFUSED = "the archive is being moved", "we share no costs"


class Day:
    """The federation, and the window of the steward of its northern hospital."""

    def __init__(self, folder, window, web, address):
        self.folder, self.window, self.web, self.address = folder, window, web, address
        self.page, self.site = window.page, folder / "sites" / NORTH

    def go(self, path):
        self.page.goto(self.address + path)

    def read(self):
        return self.page.inner_text("main")

    def press(self, text, key="Enter"):
        """With the keyboard alone."""
        self.window.tab_to(text)
        self.page.keyboard.press(key)

    def proposed(self, made, sites, name, epsilon):
        """A run whose plan the real vaults took in, and no steward has answered."""
        text = RUN.format(threshold=2, least=3).replace("3.0", str(epsilon)).replace('"toy"', f'"{name}"')
        (self.folder / "run.toml").write_text(text + TRAINED)
        plan = planned(made, load_run(self.folder / "run.toml"), None)
        run = run_of(made, plan)
        with pytest.raises(NotApprovedError):
            conduct.conduct(run.folder, sites.make)
        return run, plan

    def approve(self, plan):
        assert self.page.inner_text("h1") == "This site is active"
        self.page.wait_for_selector("text=1 plan waits")  # comes by itself
        self.window.check("home-waiting")
        self.press(plan.run)
        assert "ε 3 at δ 1e-5" in self.read()
        self.window.check("plan")
        self.press("Approve…")
        assert "ε 3 at δ 1e-5, add/remove one subject, with 3 sites" in self.read()
        self.window.check("approve")
        self.press("I have read the plan: ε 3, 3 sites.", "Space")
        self.press("Approve")
        self.page.wait_for_url(f"**/plans/{plan.hash}")
        assert Proposals(self.site).standing(plan.hash) == "approved"

    def watch(self, run, sites):
        """The run, and what the page says by itself in the middle of it."""
        looked = []

        def between(site, header):
            if (site, header.kind, header.step) == (NAMES[1], "contribute", "train-0003"):
                self.page.wait_for_selector("text=5 of 9 steps answered", timeout=15_000)
                self.window.check("home-running")
                looked.append(header.step)
            return True

        sites.before = between
        conduct.conduct(run.folder, sites.make)
        assert looked == ["train-0003"]
        self.page.wait_for_selector("text=Nothing runs now", timeout=15_000)
        self.window.check("home-after", axe=False)

    def look_it_up(self, plan):
        self.go("/budget")
        self.page.wait_for_selector("text=9 stored contributions, all in the ledger")
        charges = Site(self.site).ledger.entries()
        assert [charge.step for charge in charges] == list(plan.steps)
        assert "of 9 charges at δ 1e-5" in self.read()
        self.window.check("budget")
        for name, said in (
            ("outbox", "part of opening a sum"),
            ("log", "Asked for a contribution in step measure"),
            ("plans", "approved"),
            ("machine", "Processes that wanted to run"),
        ):
            self.go(f"/{name}")
            assert said in self.read()
            self.window.check(name)

    def play(self, run):
        """The release comes, is verified and drawn from."""
        wanted = Wanted(licence="CC-BY-4.0", override=WHY_RELEASED)
        bundle(finished(run.folder), self.site / "releases" / "diabetes", wanted, (portable_generator,))
        self.go("/releases")
        self.page.wait_for_selector("text=verified")
        assert WHY_RELEASED in self.read()
        self.window.check("releases")
        self.page.click("text=Draw synthetic records")
        assert self.page.locator("tbody tr").count() > 5
        self.window.check("playground")

    def pause(self):
        self.go("/standing")
        self.window.check("standing")
        self.page.fill("#pause-reason", WHY_PAUSED)
        self.page.click("button:text-is('Pause')")
        self.page.wait_for_selector("text=This site answers nothing")
        assert standing.state(self.site)[0] == "paused"
        self.window.check("standing-paused", axe=False)
        self.page.click("button:text-is('Answer again')")
        self.page.wait_for_selector("text=This site answers its coordinator")
        assert standing.state(self.site)[0] == "active"

    def refuse(self, plan):
        self.go(f"/plans/{plan.hash}")
        assert "ε promised: 3.0 → 4.5 (protects less)" in self.read()
        self.window.check("plan-other", axe=False)
        self.page.fill("#reason", WHY_REFUSED)
        self.page.click("button:text-is('Refuse for good')")
        self.page.wait_for_selector("text=which stays here")
        assert Proposals(self.site).standing(plan.hash) == "refused"

    def check(self, plan):
        self.go("/check")
        self.page.select_option("#plan", plan.hash)
        self.page.click("button:text-is('Check now')")
        self.page.wait_for_selector("h2:text-is('Ready')")
        self.window.check("check")


@pytest.fixture
def federation(tmp_path, monkeypatch):
    monkeypatch.setattr(conduct, "_APPROVAL_PAUSE", 0.0)
    monkeypatch.setattr(conduct, "_RETURN_PAUSE", 0.0)
    made, sites = admitted(tmp_path, NAMES)
    with socket.socket(socket.AF_UNIX) as door:  # as of a vault that runs; the vaults are in this process
        path = courier_folder(sites.folder / NORTH) / SOCKET
        door.bind(str(path))
        path.chmod(0o660)
        door.listen(64)
        yield made, sites


def test_a_stewards_day(federation, tmp_path, browser):  # noqa: F811
    made, sites = federation
    north = sites.folder / NORTH
    with served(lambda port: make(north, read_only=False, port=port)) as (web, address):
        with Window(browser) as window:
            window.enter(web)
            day = Day(tmp_path, window, web, address)
            run, plan = day.proposed(made, sites, "diabetes-2027", 3.0)
            day.approve(plan)
            for name in NAMES[1:]:
                Proposals(sites.folder / name).approve(plan.hash)
            day.go("/")
            day.watch(run, sites)
            day.look_it_up(plan)
            day.play(run)
            day.pause()
            sites.before = lambda *_: True
            _, other = day.proposed(made, sites, "costs-2027", 4.5)
            day.refuse(other)
            day.check(plan)
        with Window(browser, width=360, scheme="dark") as window:
            window.enter(web)
            for path in [*(path for _, path in NAV), f"/plans/{other.hash}"]:
                window.page.goto(address + path)
                window.check("phone" + path[:12].replace("/", "-"))


def test_without_scripts_it_works_too(federation, tmp_path, browser):  # noqa: F811
    made, sites = federation
    north = sites.folder / NORTH
    with (
        served(lambda port: make(north, read_only=False, port=port)) as (web, address),
        Window(browser, javascript=False) as window,
    ):
        day = Day(tmp_path, window, web, address)
        _, plan = day.proposed(made, sites, "diabetes-2027", 3.0)
        window.enter(web)
        window.page.click(f"text={plan.run}")
        window.page.click("a:text-is('Approve…')")
        window.page.check("input[name=read]")
        window.page.click("button:text-is('Approve')")
        window.page.wait_for_url(f"**/plans/{plan.hash}")
        assert Proposals(north).standing(plan.hash) == "approved"
        day.go("/check")
        window.page.click("button:text-is('Check now')")
        window.page.wait_for_selector("h2:text-is('Ready')")  # a page that loads itself again
        window.check("check-without-scripts", axe=False)
