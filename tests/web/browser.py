"""A dashboard in a real browser, for the tests of every dashboard: import it, do not copy it.

from tests.web.browser import CHROMIUM, Window, browser, served  # noqa: F401 (a fixture)
pytestmark = CHROMIUM

with served(lambda port: create("Coordinator", ..., port=port)) as (web, address):
    with Window(browser, width=360, scheme="dark") as window:
        window.enter(web)
        window.page.goto(address + "/runs")
        window.check("runs")  # no complaint, nothing too wide, axe-core finds nothing; a screenshot
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.web.serving import in_background, listening

_PATH = os.environ.get("FEDCGAN_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_TOO_WIDE = """() => [...document.querySelectorAll('body *')]
    .filter(e => !e.closest('svg, .skip, .scroll, thead') && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.outerHTML.slice(0, 100))"""

CHROMIUM = pytest.mark.skipif(_PATH is None, reason="no chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="pip install '.[dev]' brings playwright")
    pytest.importorskip("axe_playwright_python", reason="pip install '.[dev]' brings axe-core")
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=_PATH, args=list(_FLAGS))
        yield started
        started.close()


@contextmanager
def port():
    """A socket that listens on a free port: ``create(..., port=number)``, then ``served(web, opened)``."""
    opened = listening(0)
    try:
        yield opened, opened.getsockname()[1]
    finally:
        opened.close()


@contextmanager
def served(make):
    """A dashboard that runs: ``make(port)`` creates it. Gives it and its address."""
    with port() as (opened, number):
        web = make(number)
        with in_background(web, opened) as address:
            yield web, address


class Window:
    """A window of a browser of its own, with everything that it asked for or complained about."""

    def __init__(self, browser, *, width=1280, height=900, scheme="light", javascript=True):
        self.asked, self.complaints = [], []
        self.name = f"{scheme}-{width}"
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=javascript,
            accept_downloads=True,
        )
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def enter(self, web):
        """By the link that the terminal would show."""
        self.page.goto(f"http://127.0.0.1:{web.port}/enter?token={web.sessions.token}")

    def violations(self):
        """What axe-core finds: rule and the first elements."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in found]

    def check(self, name, axe=True):
        """Nothing was complained about or asked of others, nothing is too wide, everybody can read it."""
        self.screenshot(name)
        assert self.complaints == []
        assert [url for url in self.asked if not url.startswith(("http://127.0.0.1:", "data:"))] == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"
        assert self.page.evaluate(_TOO_WIDE) == []
        assert not axe or self.violations() == []

    def screenshot(self, name):
        """Kept if somebody wants to look at it."""
        folder = os.environ.get("FEDCGAN_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}-{self.name}.png", full_page=True)

    def tab_to(self, text, most=60):
        """With the Tab key alone, to the control whose text or label begins so; fails without one."""
        said = """() => { const e = document.activeElement;
            return ((e.labels && e.labels[0] ? e.labels[0].textContent : '') || e.getAttribute('aria-label')
                || e.textContent || '').trim() }"""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            if self.page.evaluate(said).startswith(text):
                return
        raise AssertionError(f"no way to {text!r} by the Tab key")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()
