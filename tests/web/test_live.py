"""Live pages: what changed arrives as events, and ends with the session and the program."""

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from common.errors import ConfigError, StorageError
from common.web import live, serving
from tests.web.browser import served
from tests.web.inside import Inside
from tests.web.made import dashboard

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys; sys.path.insert(0, {root!r})
from common.web.serving import listening, serve
from tests.web.made import dashboard
with listening(0) as free: port = free.getsockname()[1]
serve(dashboard(port))
"""


@pytest.fixture
def running():
    with served(dashboard) as (web, _), Inside(web) as inside:
        yield web, inside


def test_events_are_sent_as_they_come(running):
    web, inside = running
    web.app.state.news = [{"news": "<p>1</p>\n<p>2</p>"}, {}, {"news": "3", "more": "4"}]
    with inside.stream("GET", "/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        got = ""
        for part in answer.iter_text():
            got += part
            if "4" in got.split("retry: 2000")[1]:
                break
    assert got == (
        "retry: 2000\n\nevent: news\ndata: <p>1</p>\ndata: <p>2</p>\n\n"
        "event: news\ndata: 3\n\nevent: more\ndata: 4\n\n"
    )


def test_an_event_cannot_be_forged_by_what_it_says(running):
    assert live.event("a", "x\r\nevent: b\rdata: y") == "event: a\ndata: x\ndata: event: b\ndata: data: y\n\n"
    with pytest.raises(ValueError, match="one line"):
        live.event("a\nevent: b", "x")


def test_a_live_page_ends_with_its_session(running):
    web, inside = running
    web.app.state.news = itertools.repeat({"news": "1"})
    with Inside(web) as other, other.stream("GET", "/live") as answer:
        parts = answer.iter_text()
        assert "retry" in next(parts)
        assert "news" in next(parts)
        assert other.act("/leave").status_code == 200
        assert len(list(itertools.islice(parts, 300))) < 300  # what was under way, then the end
    assert inside.get("/").status_code == 200


def test_more_live_pages_than_a_browser_can_hold_take_turns(running):
    web, inside = running
    web.app.state.news = itertools.repeat({"news": "1"})
    with contextlib.ExitStack() as stack:
        parts = [
            stack.enter_context(inside.stream("GET", "/live")).iter_text() for _ in range(live.MOST_LIVE + 1)
        ]
        assert len(list(itertools.islice(parts[0], 300))) < 300  # the oldest made room
        for rest in parts[1:]:
            assert len(list(itertools.islice(rest, 20))) == 20
    with inside.stream("GET", "/live") as again:
        assert len(list(itertools.islice(again.iter_text(), 20))) == 20


def test_what_cannot_be_looked_up_ends_a_live_page_without_a_word(running, caplog):
    """It comes back every two seconds: a line for each time would fill a disk."""
    web, inside = running

    def failing():
        yield {"news": "1"}
        raise StorageError("The log cannot be read.")

    web.app.state.news = failing()
    with inside.stream("GET", "/live") as answer:
        assert "".join(answer.iter_text()) == "retry: 2000\n\nevent: news\ndata: 1\n\n"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_nothing_is_looked_up_for_a_browser_that_went(running):
    web, inside = running
    asked = itertools.count()
    web.app.state.news = ({"news": str(next(asked))} for _ in itertools.count())
    with inside.stream("GET", "/live") as answer:
        parts = answer.iter_text()
        while "news" not in next(parts):
            pass
    before = -1
    while (now := next(asked)) != before + 1:  # the last look may be under way; then none but ours
        before = now
        time.sleep(0.2)


def test_a_port_that_is_taken_is_said():
    with serving.listening(0) as opened:
        assert opened.getsockname()[0] == "127.0.0.1"
        with pytest.raises(ConfigError, match="cannot be used") as error:
            serving.listening(opened.getsockname()[1])
        assert "--port" in error.value.hint


def test_a_program_shows_its_link_and_ends_by_ctrl_c():
    script = SCRIPT.format(root=str(ROOT))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, text=True, **pipes) as program:
        link = re.search(r"http://127\.0\.0\.1:\d+/enter\?token=\S+", program.stdout.readline())[0]
        assert "Ctrl-C" in program.stdout.readline()
        with httpx.Client(base_url=link.split("/enter")[0]) as client:
            assert client.get(link).status_code == 303
            fresh = re.search(r"http://\S+", program.stdout.readline())[0]
            assert fresh != link
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
            assert client.get("/", headers=upgrade).status_code == 200
            with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=10) as odd:
                odd.sendall(b"no request at all\r\n\r\n")
                assert b"400" in odd.recv(100)
            with client.stream("GET", "/live") as answer:  # an open page does not keep the program
                parts = answer.iter_text()
                next(parts)
                program.send_signal(signal.SIGINT)
                for _ in parts:
                    pass
        out, err = program.communicate(timeout=30)
        assert program.returncode == 0, err
    assert out == "Ended.\n"
    assert "token" not in err  # nor any other line about requests
    assert err == ""


def test_a_browser_is_opened_without_telling_other_users_the_link(monkeypatch, tmp_path):
    with serving.listening(0) as opened:
        web = dashboard(opened.getsockname()[1])
        asked = []
        monkeypatch.setattr(serving.webbrowser, "open", asked.append)
        serving._open(web, tmp_path)
    (page,) = tmp_path.iterdir()
    assert asked == [page.as_uri()]
    assert web.sessions.token not in asked[0]
    assert web.sessions.token in page.read_text()
    assert os.stat(page).st_mode & 0o077 == 0
