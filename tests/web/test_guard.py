"""Who is turned away: beside every refusal the same request passes with what was missing."""

import contextlib
import os
import re
import socket
import subprocess
import sys

import httpx
import pytest

from common.web import neighbours, sessions
from common.web.forms import MOST_BYTES
from common.web.guard import cookie_of
from common.web.headers import POLICY
from tests.web.browser import served
from tests.web.inside import Inside, code
from tests.web.made import dashboard


@pytest.fixture(scope="module")
def running():
    with served(dashboard) as (web, address):
        yield web, address


@pytest.fixture
def inside(running):
    with Inside(running[0]) as browser:
        running[0].app.state.decided.clear()
        yield browser


def test_a_link_opens_one_browser_once(running):
    web, address = running
    token = web.sessions.token
    assert len(token) >= 43  # 32 bytes
    shown = []
    web.sessions.announce = shown.append
    with httpx.Client(base_url=address) as client, httpx.Client(base_url=address) as other:
        for wrong in ("", "x", token[:-1], token + "x", "é", sessions.Sessions().token):
            refused = client.get("/enter", params={"token": wrong})
            assert (refused.status_code, code(refused)) == (403, "link-used")
            assert client.get("/").status_code == 401
        assert web.sessions.token == token  # a wrong one uses nothing up
        answer = client.get("/enter", params={"token": token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        said = answer.headers["set-cookie"]
        assert said.startswith(cookie_of(web.port) + "=")
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(said.split("; "))
        assert not {"Domain", "Max-Age", "expires"} & {part.split("=")[0] for part in said.split("; ")}
        assert client.get("/").status_code == 200
        assert other.get("/enter", params={"token": token}).status_code == 403
        assert other.get("/").status_code == 401
        assert shown == [web.sessions.token]
        assert other.get("/enter", params={"token": shown[0]}).status_code == 303
        assert other.get("/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/runs/7", "/live", "/file", "/document", "/nowhere", "/refused", "/broken"]
)
def test_nothing_is_shown_without_a_session(running, path):
    web, address = running
    cookies = {cookie_of(web.port): "guessed", cookie_of(web.port + 1): "of another dashboard"}
    with httpx.Client(base_url=address, cookies=cookies) as client:
        answer = client.get(path)
    assert (answer.status_code, code(answer)) == (401, "no-session")
    assert "terminal" in answer.text
    assert "csrf" not in answer.text
    assert "/runs" not in answer.text


@pytest.mark.parametrize(
    "path", ["/enter%3Fx", "/%0Aenter", "/enter%23", "/static%0A/look.css", "/%09static/x"]
)
def test_a_quoted_path_is_not_the_door(running, path):
    """What routes see counts, not what is left of it as a URL."""
    assert httpx.get(running[1] + path).status_code == 401


@pytest.mark.parametrize("header", [{"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}], ids=str)
def test_a_link_is_not_used_ahead_of_time(running, header):
    web, address = running
    params = {"token": web.sessions.token}
    early = httpx.get(address + "/enter", params=params, headers=header)
    assert (early.status_code, code(early)) == (503, "prefetch")
    assert "set-cookie" not in early.headers
    assert httpx.get(address + "/enter", params=params).status_code == 303


def test_sessions_end_by_themselves_and_by_hand(inside):
    now = [0.0]
    found = sessions.Sessions(clock=lambda: now[0])
    secret, session = found.enter(found.token)
    now[0] = sessions.HOURS * 3600 - 1
    assert found.find(secret) is session
    now[0] += 2
    assert found.find(secret) is None
    assert not session.alive
    assert "csrf" not in repr(session)
    with Inside(inside.web) as other:
        cookie = dict(inside.cookies)
        assert inside.act("/leave").status_code == 200
        assert (
            httpx.get(inside.origin, cookies=cookie).status_code == 401
        )  # not only forgotten by the browser
        assert other.get("/").status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "127.0.0.2:{port}", ""],
)
def test_another_host_is_refused(inside, host):
    """DNS rebinding: a foreign name that leads to this machine."""
    answer = inside.get("/", headers={"Host": host.format(port=inside.web.port)})
    assert answer.status_code == 400
    assert "csrf" not in answer.text
    assert (
        inside.get("/static/look.css", headers={"Host": host.format(port=inside.web.port)}).status_code == 400
    )
    assert inside.get("/", headers={"Host": f"127.0.0.1:{inside.web.port}"}).status_code == 200


def test_it_has_two_names_and_each_its_own_origin(running):
    with Inside(running[0], host="localhost") as browser:
        assert browser.act("/decide", reason="good").status_code == 303
        assert (
            browser.act(
                "/decide", reason="good", headers={"Origin": f"http://127.0.0.1:{browser.web.port}"}
            ).status_code
            == 403
        )


_ASK = """
import os, socket, sys
os.setuid(int(sys.argv[4]))
asked = socket.socket(getattr(socket, sys.argv[1]))
asked.connect((sys.argv[2], int(sys.argv[3])))
try:
    asked.sendall(f"GET / HTTP/1.1\\r\\nHost: 127.0.0.1:{sys.argv[3]}\\r\\n\\r\\n".encode())
    print(asked.recv(12).decode())
except ConnectionError:
    print("refused")
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says whose a connection is")


@LINUX
def test_another_user_of_this_machine_gets_no_answer(inside, monkeypatch, tmp_path, capfd):
    """Not even with the cookie, which a browser gives to every port of 127.0.0.1."""
    monkeypatch.setattr(neighbours.os, "geteuid", lambda: os.getuid() + 1)
    monkeypatch.setattr(neighbours, "_ROOT", -1)
    monkeypatch.setattr(neighbours, "_LOGIN", tmp_path / "loginuid")
    monkeypatch.delenv("SUDO_UID", raising=False)
    for headers in (
        {},
        {"Cookie": f"{cookie_of(inside.web.port)}={inside.cookies[cookie_of(inside.web.port)]}"},
    ):
        with pytest.raises(httpx.TransportError):
            httpx.get(inside.origin, headers=headers)
    said = f"another user of this machine (user id {os.getuid()})"
    assert capfd.readouterr().err.count(said) == 1  # not every time
    (tmp_path / "loginuid").write_text(str(os.getuid()))  # became the one who runs it
    assert httpx.get(inside.origin).status_code == 401
    for login, sudo, shown in (("4294967295", os.getuid(), True), (os.getuid() + 2, os.getuid(), False)):
        (tmp_path / "loginuid").write_text(str(login))
        monkeypatch.setenv("SUDO_UID", str(sudo))
        with contextlib.nullcontext() if shown else pytest.raises(httpx.TransportError):
            assert httpx.get(inside.origin).status_code == 401
    monkeypatch.undo()
    assert httpx.get(inside.origin).status_code == 401
    assert inside.get("/").status_code == 200


@LINUX
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(("family", "host"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::ffff:127.0.0.1")])
def test_another_user_is_told_by_the_kernel(running, family, host):
    """Somebody else for real, also by a socket of the other family."""
    # closed unread: a reset, or an end without a byte if it was closed before the question came
    for user, said in ((65534, ("refused", "")), (0, ("HTTP/1.1 401",))):
        asked = [sys.executable, "-c", _ASK, family, host, str(running[0].port), str(user)]
        answer = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60)
        assert answer.stdout.strip() in said, answer.stderr


def test_it_listens_on_one_address(inside):
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", inside.web.port), timeout=5)
    socket.create_connection(("127.0.0.1", inside.web.port), timeout=5).close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_another_page_cannot_act(inside, headers):
    port = inside.web.port
    sent = {name: value and value.format(port=port) for name, value in headers.items()}
    answer = inside.act("/decide", reason="good", headers=sent)
    assert (answer.status_code, code(answer)) == (403, "origin")
    assert inside.web.app.state.decided == []
    assert inside.act("/decide", reason="good").status_code == 303
    assert len(inside.web.app.state.decided) == 1


def test_a_form_needs_the_token_of_its_own_session(running, inside):
    with Inside(running[0]) as other:
        for wrong in (None, "", "x", inside.token[:-1], other.token, "é"):
            answer = inside.act("/decide", reason="good", csrf=wrong)
            assert (answer.status_code, code(answer)) == (403, "csrf")
        assert inside.act("/decide", reason="good", headers={"X-CSRF-Token": other.token}).status_code == 403
        assert inside.web.app.state.decided == []
        assert inside.act("/decide", reason="good").status_code == 303
        assert (
            inside.act(
                "/decide", reason="good", csrf=None, headers={"X-CSRF-Token": inside.token}
            ).status_code
            == 303
        )
        assert other.act("/decide", reason="good").status_code == 303


def test_a_form_is_short_and_a_form(inside):
    long = inside.act("/decide", reason="x" * MOST_BYTES)
    assert (long.status_code, code(long)) == (413, "too-large")
    ours = {
        "Origin": inside.origin,
        "X-CSRF-Token": inside.token,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    slices = (b"reason=" + b"x" * 10_000 for _ in range(10))  # without a length said beforehand
    assert inside.post("/decide", headers=ours, content=slices).status_code == 413
    other = inside.post("/decide", headers={**ours, "Content-Type": "application/json"}, content=b"{}")
    assert (other.status_code, code(other)) == (415, "content-type")
    for body in (b"reason=%ff", b"reason=\xff", b"&".join(b"a=1" for _ in range(1001))):
        wrong = inside.post("/decide", headers=ours, content=body)
        assert (wrong.status_code, code(wrong)) == (400, "form")
    assert inside.web.app.state.decided == []
    assert inside.act("/decide", reason="x" * (MOST_BYTES - 1000)).status_code == 303


def test_an_action_has_parts_of_its_path_and_fields_that_occur_twice(inside):
    assert inside.act("/runs/7/stop", site=["Turku", "Lyon"]).headers["location"] == "/"
    assert inside.web.app.state.decided == [("7", ["Turku", "Lyon"])]


def test_what_comes_before_the_body_is_bounded(inside):
    assert inside.get("/", headers={"X-Long": "x" * 200_000}).status_code in (400, 431)
    assert inside.get("/", headers={"X-Long": "x" * 2_000}).status_code == 200


def test_every_other_method_is_an_action(inside):
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        assert inside.request(method, "/decide").status_code == 403
    assert inside.get("/decide").status_code == 405
    ours = {
        "Origin": inside.origin,
        "X-CSRF-Token": inside.token,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    assert inside.request("DELETE", "/decide", headers=ours).status_code == 405


def test_another_port_of_this_machine_cannot_load_from_it(inside):
    for site in ("cross-site", "same-site"):
        assert (
            inside.get("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
        )
        assert (
            inside.get("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}).status_code == 200
        )
    for framed in ("iframe", "frame", "embed", "object"):
        headers = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": framed}
        assert inside.get("/", headers=headers).status_code == 403  # before any work is done for it
        assert inside.get("/", headers={**headers, "Sec-Fetch-Dest": "document"}).status_code == 200
    for site in ("none", "same-origin"):
        assert (
            inside.get("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}).status_code == 200
        )


def test_read_only_has_no_actions_and_shows_no_forms():
    with (
        served(lambda port: dashboard(port, read_only=True)) as (web, _),
        Inside(web) as browser,
    ):
        page = browser.get("/").text
        assert "read only" in page
        assert 'action="/decide"' not in page
        assert browser.act("/decide", reason="good").status_code == 404
        assert web.app.state.decided == []
        assert browser.act("/leave").status_code == 200


def test_every_answer_tells_the_browser_the_same(running, inside, caplog):
    _, address = running
    answers = [
        inside.get(path) for path in ("/", "/nowhere", "/runs/x", "/refused", "/broken", "/file", "/static/x")
    ]
    answers += [
        inside.act("/decide", reason="good"),
        inside.act("/decide", reason="good", csrf="x"),
        inside.get("/", headers={"Host": "x"}),
        httpx.get(address),
    ]
    answers += [httpx.get(address + "/enter"), httpx.get(address + "/static/look.css"), httpx.post(address)]
    assert [answer.status_code for answer in answers] == [
        *(200, 404, 400, 400, 500, 200, 404),
        *(303, 403, 400, 401),
        *(403, 200, 401),
    ]
    for answer in answers:
        headers = answer.headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers
        if "/static/look.css" not in str(answer.url):
            assert headers["cache-control"] == "no-store"
    assert not {"'unsafe-inline'", "'unsafe-eval'", "http:", "*"} & set(POLICY.replace(";", "").split())


def test_what_goes_wrong_is_said_without_a_trace(inside, caplog):
    refused = inside.get("/refused")
    assert (refused.status_code, code(refused)) == (400, "protocol-not-approved")
    assert "This plan is not approved here." in refused.text
    assert "approve it first" in refused.text
    fault = inside.get("/broken")
    assert (fault.status_code, code(fault)) == (500, "internal")
    assert "secret" not in fault.text
    assert "a secret of the program" in caplog.text  # the terminal has it
    part = inside.get("/refused", headers={"HX-Request": "true"})
    assert part.status_code == 400
    assert "approve it first" in part.text
    assert "<html" not in part.text
    assert inside.act("/decide", reason="bad").status_code == 400


def test_a_browser_that_goes_while_it_sends_is_no_fault(inside, caplog):
    name = cookie_of(inside.web.port)
    head = [
        "POST /decide HTTP/1.1",
        f"Host: 127.0.0.1:{inside.web.port}",
        f"Origin: {inside.origin}",
        f"Cookie: {name}={inside.cookies[name]}",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Length: 100",
    ]
    with socket.create_connection(("127.0.0.1", inside.web.port), timeout=10) as sent:
        sent.sendall(("\r\n".join(head) + "\r\n\r\nreason=").encode())
        assert inside.get("/").status_code == 200  # so the other request is under way
    assert inside.act("/decide", reason="good").status_code == 303
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_files_are_found_by_name_alone_and_kept_by_content(inside):
    page = inside.get("/").text
    for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        answer = inside.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-type"].split(";")[0] in (
            "text/css",
            "text/javascript",
            "image/svg+xml",
        )
    assert inside.get("/static/look.css?v=0").headers["cache-control"] == "no-cache"
    for path in ("/static/..%2Fapplication.py", "/static/%2e%2e/application.py", "/static/layout.html.j2"):
        assert inside.get(path).status_code == 404


def test_documents_and_downloads_are_not_ours_to_run(inside):
    policy = inside.get("/document").headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script" not in policy
    answer = inside.get("/file")
    assert answer.headers["content-disposition"] == 'attachment; filename="a-b-X-y.csv"'
    assert "x" not in answer.headers


def test_what_people_wrote_is_text():
    hostile = "<script>alert(1)</script>"
    with served(lambda port: dashboard(port, said=hostile)) as (web, _), Inside(web) as browser:
        page = browser.get("/").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<b>" not in page
    assert not re.search(r"<script(?! defer src=)|\son\w+=|\sstyle=|javascript:", page)


def test_a_link_opened_from_elsewhere_goes_on_by_itself(running):
    """A strict cookie does not follow a redirect that another site began."""
    web, address = running
    params = {"token": web.sessions.token}
    answer = httpx.get(address + "/enter", params=params, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert cookie_of(web.port) in answer.cookies
    assert 'content="0;url=/"' in answer.text
