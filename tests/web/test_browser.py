"""In a real browser: nothing breaks the strict policy, the keyboard does everything, and it fits a phone."""

import itertools
import re

import pytest

from common.web import playground
from server.onnx_export import export_onnx
from tests import released, toy_arrays
from tests.web.browser import CHROMIUM, Window, browser, served  # noqa: F401
from tests.web.made import dashboard

pytestmark = CHROMIUM

LOOKS = pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (360, "light")])
"""The stories of both dashboards look at the other two."""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    root = tmp_path_factory.mktemp("releases")
    made = {
        "heart": released.table(),
        "digits": released.arrays(toy_arrays.DIGITS),
        "waves": released.arrays(toy_arrays.WAVES),
    }
    for name, generator in made.items():
        (root / name).mkdir()
        export_onnx(generator, root / name / "generator.onnx")

    def make(port):
        web = dashboard(port)
        playground.add(web, lambda: {name: root / name for name in made})
        return web

    with served(make) as (web, address):
        yield web, address


@LOOKS
def test_every_page_can_be_read_by_everybody(browser, running, width, scheme):  # noqa: F811
    web, address = running
    with Window(browser, width=width, scheme=scheme) as window:
        window.enter(web)
        axe = (width, scheme) in ((1280, "light"), (360, "dark"))  # the slow part: each look and width once
        window.check("foundation", axe)
        for name in ("heart", "digits", "waves"):
            window.page.goto(f"{address}/playground?release={name}")
            window.check(f"playground-{name}", axe)
        window.page.goto(f"{address}/playground?release=heart&low:ward=5000&n=20")
        assert window.page.get_by_role("alert").get_by_text("ward goes from").is_visible()
        window.complaints.clear()  # the browser's line about status 400
        window.check("playground-impossible", axe)


def test_a_page_that_would_break_the_policy_is_noticed(browser, running):  # noqa: F811
    web, _ = running
    with Window(browser) as window:
        window.enter(web)
        window.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">x</p>')")
        window.page.evaluate(
            "document.body.append(Object.assign(new Image(), {src: 'http://example.invalid/x'}))"
        )
        window.page.wait_for_function("() => true")
        assert sum("Content Security Policy" in text for text in window.complaints) == 2
        with pytest.raises(AssertionError):
            window.check("broken")


def test_a_page_follows_what_happens(browser, running):  # noqa: F811
    web, _ = running
    web.app.state.news = ({"news": "<p>Round 1 began.</p>"}, {"news": "<p>Round 1 ended.</p>"})
    with Window(browser) as window:
        window.enter(web)
        window.page.get_by_text("Round 1 ended.").wait_for()
        assert window.page.get_by_text("Nothing yet.").count() == 0
        window.check("live", axe=False)


def test_a_page_loads_beside_many_that_are_live(browser, running):  # noqa: F811
    """Browsers open six connections to one address; each of these pages holds one."""
    web, address = running
    web.app.state.news = itertools.repeat({"news": "<p>Live.</p>"})
    with Window(browser) as window:
        window.enter(web)
        window.page.get_by_text("Live.").wait_for()
        for _ in range(7):
            page = window.context.new_page()
            page.goto(address)
            page.get_by_text("Live.").wait_for()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_form_is_sent_with_its_token(browser, running, javascript):  # noqa: F811
    web, address = running
    web.app.state.decided.clear()
    with Window(browser, javascript=javascript) as window:
        window.enter(web)
        window.page.get_by_label("Reason").fill("Good plan.")
        window.page.get_by_role("button", name="Approve").click()
        if javascript:
            window.page.get_by_role("status").get_by_text("Decided: Good plan.").wait_for()
            window.page.get_by_label("Reason").fill("bad")
            window.page.get_by_role("button", name="Refuse").click()
            window.page.get_by_role("alert").get_by_text("approve it first").wait_for()
        else:
            window.page.wait_for_url(f"{address}/runs/7")
    (sent,) = web.app.state.decided
    assert sent["reason"] == "Good plan."
    assert "refuse" not in sent


def test_another_site_cannot_use_the_session(browser, running):  # noqa: F811
    """What a browser really sends: from another site no cookie, from another port "same-site"."""
    web, address = running
    web.app.state.decided.clear()
    with served(dashboard) as (_, other), Window(browser) as window:
        window.enter(web)
        token = window.page.locator("input[name=csrf]").first.get_attribute("value")
        window.page.route(
            f"{other}/**", lambda route: route.fulfill(content_type="text/html", body="<p>evil</p>")
        )
        for evil in (other, other.replace("127.0.0.1", "localhost")):
            window.page.route(
                f"{evil}/**", lambda route: route.fulfill(content_type="text/html", body="<p>evil</p>")
            )
            window.page.goto(f"{evil}/")
            window.page.evaluate(
                """([to, token]) => { document.body.innerHTML =
                    `<form method="post" action="${to}/decide"><input name="csrf" value="${token}">
                     <input name="reason" value="x"></form>`; document.forms[0].submit() }""",
                [address, token],
            )
            window.page.get_by_role("alert").wait_for()
            assert window.page.locator("code").inner_text() in ("origin", "no-session")
            window.page.goto(f"{evil}/")
            read = "to => fetch(to, {credentials: 'include'}).then(answer => answer.status, () => 0)"
            assert window.page.evaluate(read, address) == 0
        assert web.app.state.decided == []
        window.page.goto(f"{address}/")
        window.page.get_by_label("Reason").fill("ours")
        window.page.get_by_role("button", name="Approve").click()
        window.page.get_by_role("status").get_by_text("Decided: ours").wait_for()


def test_the_playground_by_keyboard_alone(browser, running):  # noqa: F811
    web, address = running
    with Window(browser) as window:
        window.enter(web)
        page = window.page
        page.goto(f"{address}/playground?release=heart")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        window.tab_to("diagnosis")
        page.keyboard.press("m")  # of a list, the first that begins so
        page.get_by_role("cell", name="mild", exact=True).nth(9).wait_for()
        assert page.get_by_role("cell", name="bad", exact=True).count() == 0
        before = page.locator("tbody").inner_text()
        window.tab_to("Draw others")
        page.keyboard.press("Enter")
        page.wait_for_function("before => document.querySelector('tbody').innerText !== before", arg=before)
        assert page.get_by_label("Seed").input_value() != "0"
        drawn = page.locator("tbody").inner_text()
        assert "is%3Adiagnosis=%3Dmild" in page.url
        page.reload()  # what was asked is in the address
        assert page.locator("tbody").inner_text() == drawn
        page.goto(address)
        page.go_back()
        assert page.locator("tbody").inner_text() == drawn
        window.tab_to("Download")
        with page.expect_download() as started:
            page.keyboard.press("Enter")
        assert re.fullmatch(r"heart-synthetic-\d+\.csv\.zip", started.value.suggested_filename)
        window.check("keyboard", axe=False)


def test_the_playground_without_javascript(browser, running):  # noqa: F811
    web, address = running
    with Window(browser, javascript=False) as window:
        window.enter(web)
        page = window.page
        page.get_by_role("link", name="Playground").click()
        page.get_by_label("Release").select_option("digits")
        page.get_by_role("button", name="Open").click()
        page.get_by_label("digit").select_option("7")
        page.get_by_label("How many").first.fill("12")
        page.get_by_role("button", name="Draw", exact=True).click()
        assert page.get_by_role("heading", name="12 synthetic images").is_visible()
        assert page.get_by_role("img", name=re.compile("^Synthetic image .*, 7$")).count() == 12
        page.get_by_role("button", name="Draw others").click()
        assert page.get_by_label("Seed").input_value() != "0"
        page.get_by_role("button", name="Sign out").click()
        assert page.get_by_role("heading", name="Signed out").is_visible()
        page.goto(f"{address}/playground")
        assert page.get_by_text("This browser has no session.").is_visible()
