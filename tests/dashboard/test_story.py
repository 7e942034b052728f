"""One whole story in a browser: invite, admit, plan, start, approve, watch, release, verify, play."""

import re

import pytest

from server import conduct
from server.dashboard import connections
from tests.server.conducted import Sites
from tests.server.invitations import federation
from tests.web.browser import CHROMIUM, Window, browser, served  # noqa: F401 (a fixture)

from .made import NAMES, Threads, approve, connected, joins, pages

pytestmark = CHROMIUM

FURTHER = """[model]
latent = 8
generator_hidden = [16]
discriminator_hidden = [16]
[training]
local_steps = 2
generator_steps = 2
sample_rate = 0.1
fit_steps = 20
[release]
evaluate_share = 0.0
signatures = 0
"""
REASON = "Made-up records of a test; nobody is in them."


@pytest.fixture
def together(tmp_path, monkeypatch):
    monkeypatch.setattr(conduct, "_APPROVAL_PAUSE", 0.2)
    monkeypatch.setattr(connections, "EVERY", 0.0)
    made = federation(tmp_path / "federation")
    engine = Threads(Sites(tmp_path / "sites", NAMES))
    with served(lambda port: pages(made, engine, port)) as (web, address):
        yield made, engine, web, address
    engine.join()


class Both:
    """A wide window in which everything is done, and a narrow dark one beside it that only looks."""

    def __init__(self, window, small, address):
        self.window, self.small, self.page, self.address = window, small, window.page, address

    def look(self, path, name, axe=True):
        """axe: in both; else in the narrow one alone, for it is what takes time."""
        for one in (self.window, self.small):
            one.page.goto(self.address + path)
            one.page.wait_for_load_state("load")
            one.check(name, axe or one is self.small)

    def press(self, button):
        self.window.tab_to(button)
        self.page.keyboard.press("Enter")

    def arrive(self, pattern):
        self.page.wait_for_url(re.compile(pattern))
        return self.page.url.removeprefix(self.address)


def test_from_an_invitation_to_a_sample(together, tmp_path, browser):  # noqa: F811
    made, engine, web, address = together
    with Window(browser) as window, Window(browser, width=360, scheme="dark") as small:
        window.enter(web)
        small.enter(web)
        both = Both(window, small, address)
        both.look("/", "nobody", axe=False)
        for name in NAMES:
            invited_and_admitted(both, made, tmp_path, name)
        connected(made, engine, NAMES[:2])
        both.page.goto(address + "/")
        both.page.get_by_text("connected since").first.wait_for()
        both.look("/", "sites")
        both.look(f"/sites/{NAMES[0]}", "site", axe=False)
        planned(both)
        run = watched_to_its_end(both, made, engine, tmp_path)
        released(both, run.replace("runs", "releases"))


def invited_and_admitted(both, made, folder, name):
    """By the keyboard: the kit is fetched once, the site answers with its own program."""
    page = both.page
    page.goto(both.address + "/")
    both.window.tab_to("Name of the site")
    page.keyboard.type(name)
    both.press("Make the kit")
    both.arrive(f"/sites/{name}$")
    if name == NAMES[0]:
        both.window.check("invited")
    with page.expect_download() as kept:
        both.press("Download")
    kit = folder / kept.value.suggested_filename
    kept.value.save_as(kit)
    reply = joins(made, folder, kit).reply
    page.reload()
    assert page.get_by_role("button", name="Download").count() == 0  # once
    page.goto(both.address + "/")
    page.get_by_label("Its reply").fill(reply.model_dump_json())
    both.window.tab_to("Fingerprint")
    page.keyboard.type(reply.fingerprint(made.identity.public, made.certificates.authority))
    both.press("Admit")
    both.arrive(f"/sites/{name}$")
    assert made.member(name).state == "admitted"


def planned(both):
    """A plan by the form, whose cost is there before it is made."""
    page = both.page
    both.look("/plans/new", "plan-empty", axe=False)
    page.get_by_label("Name").fill("heart")
    page.get_by_label("Schedule").select_option("local")
    page.get_by_label("Rounds").fill("3")
    page.get_by_label("Records per site").fill("100")
    page.get_by_label("Sites that a sum needs").fill("3")
    page.get_by_text("Further settings").click()
    page.get_by_label("TOML").fill(FURTHER)
    page.get_by_text("Memory of a site").wait_for(timeout=60_000)
    both.window.check("plan-new")
    both.press("Make the plan")
    both.arrive("/plans/[0-9a-f]{12}$")
    page.get_by_text("Memory of a site").wait_for()  # measured for the form already
    both.window.check("plan")


def watched_to_its_end(both, made, engine, folder):
    """Started here, approved by each site's own people, seen live; returns the address of its page."""
    page = both.page
    engine.hold("train-0002")
    page.get_by_label("Propose this plan").check()
    both.press("Start")
    run = both.arrive("/runs/[0-9a-f]{12}$")
    page.get_by_text("0 of 3 have said yes").wait_for(timeout=30_000)
    page.get_by_text("its data steward decides").first.wait_for()
    both.window.check("run-waiting")
    approve(folder, NAMES, next(iter((made.folder / "runs").iterdir())).name)

    page.get_by_text("1 of 3 rounds").first.wait_for(timeout=60_000)
    page.get_by_text("Round 1, the newest").wait_for()
    both.look(run, "run-training")
    page.get_by_label("Look back").focus()
    page.keyboard.press("Home")
    page.get_by_text("Follow the newest again").wait_for()
    page.get_by_text("After the fit").wait_for()
    engine.let_go()
    page.get_by_text("trained one generator together").wait_for(timeout=60_000)
    page.get_by_role("link", name="Release", exact=True).wait_for()
    assert page.get_by_text("After the fit").is_visible()  # whoever looks back is left alone
    assert not page.get_by_text("Round 3, the newest").is_visible()
    both.look(run, "run-finished", axe=False)
    assert page.get_by_text("Round 3, the newest").is_visible()
    return run


def released(both, release):
    """The gate, a reason, the bundle, its verification, its files, and the playground."""
    page = both.page
    both.look(release, "release-to-be", axe=False)
    page.get_by_role("button", name="Make the release").click()
    page.get_by_text("gate-failed").wait_for()
    page.get_by_label("Why it is released").fill(REASON)
    both.window.complaints.clear()  # the browser's line about status 400
    both.press("Make the release")
    page.get_by_text("fingerprint of the signature").wait_for(timeout=90_000)
    assert page.get_by_text(REASON).first.is_visible()
    both.look(release, "release")
    with page.expect_download() as kept:
        page.get_by_role("link", name="Download").click()
    assert kept.value.suggested_filename.startswith("heart-")
    with both.window.context.expect_page() as opened:
        page.get_by_role("link", name="Evidence").click()
    assert opened.value.get_by_text(REASON).first.is_visible()
    opened.value.close()
    page.get_by_role("link", name="Play with the generator").click()
    page.get_by_text("synthetic").first.wait_for()
    both.window.check("played", axe=False)
