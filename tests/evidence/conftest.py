"""Pages that several tests look at, each rendered once."""

import pytest

from common.evidence.page import render
from tests.evidence import made
from tests.web.browser import browser  # noqa: F401 (a fixture)

REASON = "For the test of a pump, & nothing else."


@pytest.fixture(scope="session")
def contents():
    """Runs of every kind and every verdict; ``private`` shows real images."""
    return {
        "table": made.content("table", gate="failed", override=REASON),
        "image": made.content("image", gate="inconclusive"),
        "signal": made.content("signal", gate="passed"),
        "private": made.content("image", private=True),
        "bare": made.content("signal", gate=None, meaning=()),
    }


@pytest.fixture(scope="session")
def pages(contents):
    return {kind: render(content) for kind, content in contents.items()}
