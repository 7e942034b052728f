"""The page in a real browser: nothing is fetched, nothing runs, everybody can read it, and it prints."""

import io

import pytest

from tests.evidence.conftest import REASON
from tests.web.browser import CHROMIUM

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="pip install '.[dev]' brings axe-core"
)

KINDS = pytest.mark.parametrize("kind", ["table", "image", "signal", "private"])

pytestmark = CHROMIUM


@pytest.fixture(scope="module")
def files(tmp_path_factory, pages):
    """A file of each kind of page."""
    folder = tmp_path_factory.mktemp("pages")
    for kind, page in pages.items():
        (folder / f"{kind}.html").write_text(page, "utf-8")
    return folder


class Shown:
    """A page in a window of its own, with everything that it asked for or complained about."""

    def __init__(self, browser, path, **window):
        self.asked, self.complaints = [], []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **window})
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.context.route("**/*", self._decide)
        self.page.goto(path.as_uri())

    def _decide(self, route):
        self.asked.append(route.request.url)
        route.continue_() if route.request.url.startswith("file:") else route.abort()

    def violations(self):
        found = axe.Axe().run(self.page).response["violations"]
        return [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@KINDS
def test_it_asks_for_nothing_and_complains_about_nothing(browser, files, kind):
    path = files / f"{kind}.html"
    with Shown(browser, path) as shown:
        assert [url for url in shown.asked if not url.startswith("data:")] == [path.as_uri()]
        assert shown.complaints == []
        broken = "[...document.images].filter(i => !i.naturalWidth).length"
        assert shown.page.evaluate(broken) == 0


def test_a_page_that_would_ask_or_run_something_is_noticed(browser, files, tmp_path):
    page = (files / "signal.html").read_text("utf-8")
    outside = '<img src="http://example.invalid/x.png" alt="x"><script>console.log("ran")</script></main>'
    bad = tmp_path / "bad.html"
    bad.write_text(page.replace("</main>", outside), "utf-8")
    with Shown(browser, bad) as shown:  # the page's own policy stops both, and the browser says so
        assert any("Content Security Policy" in text for text in shown.complaints)
        assert "ran" not in shown.complaints
    bad.write_text(page.replace("</main>", outside).replace("Content-Security-Policy", "other"), "utf-8")
    with Shown(browser, bad) as shown:
        assert "ran" in shown.complaints
        assert any("example.invalid" in url for url in shown.asked)


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [("table", "light"), ("table", "dark"), ("signal", "light"), ("private", "dark")],
)
def test_axe_finds_nothing(browser, files, kind, scheme):
    with Shown(browser, files / f"{kind}.html", color_scheme=scheme) as shown:
        assert shown.violations() == []


def test_axe_finds_what_is_wrong(browser, files, tmp_path):
    page = (files / "signal.html").read_text("utf-8")
    bad = tmp_path / "bad.html"
    bad.write_text(page.replace("--muted: #56616d", "--muted: #b8bec4").replace('lang="en"', ""), "utf-8")
    with Shown(browser, bad, color_scheme="light") as shown:
        assert {"color-contrast", "html-has-lang"} <= {name for name, _ in shown.violations()}


@KINDS
def test_it_fits_a_phone(browser, files, kind):
    with Shown(browser, files / f"{kind}.html", viewport={"width": 360, "height": 740}) as shown:
        assert shown.page.evaluate("document.documentElement.scrollWidth") == 360
        assert kind != "signal" or shown.violations() == []
        wide = """[...document.querySelectorAll('body *')].filter(e =>
            !e.closest('svg, .skip, thead') && e.getBoundingClientRect().right > 361).length"""
        assert shown.page.evaluate(wide) == 0


@pytest.mark.parametrize("kind", ["table", "private"])
def test_it_is_the_same_without_javascript(browser, files, kind):
    pictures = []
    for enabled in (True, False):
        with Shown(browser, files / f"{kind}.html", java_script_enabled=enabled) as shown:
            pictures.append(shown.page.screenshot())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(("kind", "paper"), [("table", "A4"), ("signal", "Letter"), ("private", "A4")])
def test_it_prints(browser, files, kind, paper):
    pypdf = pytest.importorskip("pypdf")
    with Shown(browser, files / f"{kind}.html", color_scheme="dark") as shown:
        printed = pypdf.PdfReader(io.BytesIO(shown.page.pdf(format=paper, print_background=True)))
    texts = [page.extract_text() for page in printed.pages]
    assert 3 <= len(texts) <= 12
    first = " ".join(texts[0].split())
    assert "Summary" in first
    assert "What is not covered" in first
    assert (REASON in first) == (kind == "table")
    assert "Privacy gate" in first
    assert "The privacy gate" not in first  # the table of criteria begins a page
    assert all(text.strip() for text in texts)  # no sheet is empty
    everything = " ".join(" ".join(texts).split())
    assert "Verify and use" in everything
    assert "Gradient boosting, AUC" in everything


def test_what_stands_out_is_told_by_words_and_landmarks(browser, files):
    with Shown(browser, files / "table.html") as shown:
        page = shown.page
        assert page.get_by_role("main").count() == 1
        assert page.get_by_role("navigation", name="Contents").count() == 1
        assert page.get_by_role("note", name="Override of the privacy gate").is_visible()
        table = page.get_by_role("table", name="Every criterion")
        assert table.get_by_role("row", name="Exact copies").get_by_text("Failed").is_visible()
        assert page.get_by_role("img", name="Privacy spent over the steps of the run").is_visible()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
