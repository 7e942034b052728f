"""A federation whose every process is real, led and approved from its dashboards in a browser."""

import re
import subprocess
from contextlib import contextmanager

import pytest

from common.bench.loopback import Loopback
from common.launch import command
from tests.dashboard.test_story import FURTHER, REASON
from tests.web.browser import CHROMIUM, Window, browser  # noqa: F401 (a fixture)

from . import takes_minutes

pytestmark = [CHROMIUM, takes_minutes]

LINK = re.compile(r"http://127\.0\.0\.1:\d+/enter\?token=\S+")
PATIENCE = 600_000.0  # milliseconds


@contextmanager
def opened(window, *arguments):
    """A dashboard's own command, and the browser led in by the link that it prints. Gives its address."""
    with subprocess.Popen([*command(), *arguments], stdout=subprocess.PIPE, text=True) as program:
        try:
            link = LINK.search(program.stdout.readline())[0]
            window.page.goto(link)
            yield link.partition("/enter")[0]
        finally:
            program.terminate()


@pytest.fixture
def together(open_folder):
    with Loopback(open_folder, 3) as federation:
        yield federation


def test_a_plan_is_made_started_approved_and_finished_from_dashboards(together, browser):  # noqa: F811
    federation = str(together.federation)
    with Window(browser) as window, opened(window, "dashboard", federation, "--port", "18600") as address:
        page = window.page
        page.goto(address + "/")
        page.get_by_text("connected since").nth(2).wait_for(timeout=PATIENCE)
        window.check("real-sites")
        page.goto(address + "/plans/new")
        page.get_by_label("Name").fill("real")
        page.get_by_label("Schedule").select_option("local")
        page.get_by_label("Rounds").fill("1")
        page.get_by_label("Records per site").fill("100")
        page.get_by_text("Further settings").click()
        page.get_by_label("TOML").fill(FURTHER)
        page.get_by_role("button", name="Make the plan").click()
        page.wait_for_url(re.compile("/plans/[0-9a-f]{12}$"))
        page.get_by_label("Propose this plan").check()
        page.get_by_role("button", name="Start").click()
        page.wait_for_url(re.compile("/runs/[0-9a-f]{12}$"), timeout=PATIENCE)
        page.get_by_text("0 of 3 have said yes").wait_for(timeout=PATIENCE)
        for number, name in enumerate(together.names):
            approved_at(together.folder / name, 18601 + number, browser)
        page.get_by_text("trained one generator together").wait_for(timeout=PATIENCE)
        window.check("real-finished")
        page.get_by_role("link", name="Release", exact=True).click()
        page.get_by_role("button", name="Make the release").click()
        page.get_by_label("Why it is released").fill(REASON)
        window.complaints.clear()
        page.get_by_role("button", name="Make the release").click()
        page.get_by_text("fingerprint of the signature").wait_for(timeout=PATIENCE)
        window.check("real-release")


def approved_at(site, port, browser):  # noqa: F811
    """By its data steward, in a browser of their own."""
    with (
        Window(browser) as window,
        opened(window, "site", "dashboard", str(site), "--port", str(port)) as address,
    ):
        page = window.page
        page.get_by_text("vault runs").wait_for()
        page.get_by_role("link", name=re.compile("^real-")).first.click(timeout=PATIENCE)
        page.get_by_role("link", name="Approve…").click()
        page.get_by_label(re.compile("I have read the plan")).check()
        page.get_by_role("button", name="Approve").click()
        page.goto(address + "/plans")
        page.get_by_text("approved").first.wait_for()
        window.check(f"real-{site.name}-approved")
