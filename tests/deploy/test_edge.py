"""The edge in a real nginx: a SuperNode's ten calls pass, nothing else does, whatever it is dressed as."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.supervision import free_port
from server.edge import command, configuration

from .edge import (
    Upstream,
    certificates,
    edge,
    exchange,
    missing_nginx,
    running,
    unprivileged_folder,
)
from .hostile import FLEET, GOOD, HOSTILE, post

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = missing_nginx()
needs_nginx = pytest.mark.skipif(bool(WITHOUT), reason=WITHOUT or "nginx is here")
VALUES = {
    "host": "127.0.0.1",
    "port": 18443,
    "link_port": 18000,
    "certificate": Path("/f/tls/server.crt"),
    "key": Path("/f/tls/server.key"),
    "ca": Path("/f/ca/ca.crt"),
    "folder": Path("/f/flower"),
}


@pytest.fixture(scope="module")
def folder():
    with unprivileged_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def upstream(folder):
    server = Upstream(folder)
    yield server
    server.close()


@pytest.fixture(scope="module")
def port(folder, upstream):
    with edge(folder, upstream.port) as port:
        yield port


def passed(folder, upstream, port, request: bytes) -> tuple[list[int], list[tuple[str, str, bytes]]]:
    """The edge's answers, and what reached the SuperLink's place meanwhile."""
    before = len(upstream.reached)
    answers = exchange(folder, port, request)
    return answers, upstream.reached[before:]


def got_through(folder, upstream, port, name: str) -> bool:
    """Whether the hostile request, or more of it than its allowed part, reached the SuperLink's place."""
    request, allowed = HOSTILE[name]
    _, arrived = passed(folder, upstream, port, request)
    return len(arrived) > allowed or any((method, path) != ("POST", GOOD) for method, path, _ in arrived)


@needs_nginx
@pytest.mark.parametrize("name", FLEET)
def test_a_supernodes_calls_reach_the_superlink(folder, upstream, port, name):
    body = "ciphertext" * 100
    answers, arrived = passed(folder, upstream, port, post(f"/v1/fleet/{name}", body=body))
    assert answers == [200]
    assert arrived == [("POST", f"/v1/fleet/{name}", body.encode())]


@needs_nginx
def test_a_piece_of_an_update_and_a_body_in_chunks_pass_whole(folder, upstream, port):
    piece = os.urandom(5 << 20).hex()  # 10 MB: twice Flower's pieces
    _, arrived = passed(folder, upstream, port, post("/v1/fleet/push-object", body=piece))
    assert arrived == [("POST", "/v1/fleet/push-object", piece.encode())]
    head = "POST /v1/fleet/push-object HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    chunks = f"{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    _, arrived = passed(folder, upstream, port, chunks.encode())
    assert arrived == [("POST", "/v1/fleet/push-object", b"abcde")]


@needs_nginx
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_else_does(folder, upstream, port, name):
    answers, arrived = passed(folder, upstream, port, HOSTILE[name][0])
    allowed = HOSTILE[name][1]
    assert [(method, path) for method, path, _ in arrived] == [("POST", GOOD)] * allowed
    assert answers.count(200) == allowed
    assert all(400 <= status < 600 for status in answers if status != 200)


def test_the_list_is_long_enough():
    assert len(HOSTILE) >= 80


def open_prefix(text: str) -> str:
    """What one would write first: everything under /v1/fleet/."""
    head, tail = text.split('        if ($fleet = "")')
    return (
        head + "location /v1/fleet/ { proxy_pass https://superlink; }\n" + tail[tail.index("location / {") :]
    )


def decoded_only(text: str) -> str:
    """Exact locations, but only of the path as nginx decodes it."""
    start, end = text.index('        if ($fleet = "")'), text.index("# The second lock")
    return text[:start] + text[end:]


def merged(text: str) -> str:
    """The same with nginx's default for slashes."""
    return decoded_only(text).replace("merge_slashes off;", "")


@needs_nginx
@pytest.mark.parametrize(
    ("change", "caught"),
    [
        (open_prefix, {"fleet register-node", "fleet unregister-node", "method GET", "more behind"}),
        (
            decoded_only,
            {"dots out and back", "encoded letter", "query", "absolute URI", "method GET", "HTTP/1.0"},
        ),
        (merged, {"double slash inside", "double slash in front"}),
    ],
)
def test_the_requests_catch_a_looser_edge(folder, upstream, change, caught):
    with edge(folder, upstream.port, change) as port:
        through = {name for name in caught if got_through(folder, upstream, port, name)}
    assert through == caught


@needs_nginx
def test_a_superlink_with_a_certificate_of_another_ca_gets_nothing(folder, tmp_path):
    certificates(tmp_path)
    other = Upstream(tmp_path)
    with edge(folder, other.port) as port:
        assert exchange(folder, port, post(GOOD)) == [502]
        assert other.reached == []
    with edge(folder, other.port, lambda text: text.replace("proxy_ssl_verify on;", "")) as port:
        assert exchange(folder, port, post(GOOD)) == [200]  # the check is what kept it out
    other.close()


@needs_nginx
def test_old_tls_and_clear_text_are_refused(folder, port):
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.version() == "TLSv1.3"
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.sendall(post(GOOD))
        assert b"HTTP/1.1 400" in plain.recv(4096)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "ca.crt")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        pytest.raises(ssl.SSLError, match="alert protocol version"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


@needs_nginx
def test_what_is_refused_is_written_down_without_headers(folder, upstream, port):
    secret = "flwr-task-token: not-for-the-log\r\n"
    exchange(folder, port, post("/v1/control/start-run?seen", more=secret, body="not-for-the-log"))
    line, deadline = '"POST /v1/control/start-run?seen HTTP/1.1"', time.monotonic() + 30.0
    while line not in (log := (folder / "edge.log").read_text()):  # written after the answer was sent
        assert time.monotonic() < deadline, log
        time.sleep(0.05)
    assert " 403 " in log
    assert "not-for-the-log" not in log
    assert '"POST /v1/fleet/get-fab HTTP/1.1"' not in log


@needs_nginx
@pytest.mark.skipif(shutil.which("envsubst") is None, reason="no envsubst: apt-get install gettext-base")
def test_the_edge_in_a_container_is_the_same():
    with unprivileged_folder() as folder:
        upstream, port = Upstream(folder), free_port()
        start = shutil.copy(
            ROOT / "deploy" / "nginx" / "start.sh", folder
        )  # the tree may be closed to nobody
        environment = {
            "EDGE_LISTEN": f"127.0.0.1:{port}",
            "EDGE_LINK_PORT": str(upstream.port),
            "EDGE_CERTIFICATE": str(folder / "server.crt"),
            "EDGE_KEY": str(folder / "server.key"),
            "EDGE_CA": str(folder / "ca.crt"),
            "EDGE_FOLDER": str(folder),
            "EDGE_LOG": str(folder / "edge.log"),
            "EDGE_TEMPLATE": shutil.copy(ROOT / "server" / "edge.conf.template", folder),
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
        }
        with running([str(start)], port, **environment):
            rendered = (folder / "edge.conf").read_text()
            assert exchange(folder, port, post(GOOD)) == [200]
            assert exchange(folder, port, post("/v1/control/start-run")) == [403]
        upstream.close()
        assert rendered == configuration(
            host="127.0.0.1",
            port=port,
            link_port=upstream.port,
            certificate=folder / "server.crt",
            key=folder / "server.key",
            ca=folder / "ca.crt",
            folder=folder,
        )
        for bad in ("127.0.0.1:1; return 200", "a b", "$uri"):
            done = subprocess.run(
                [start],
                env={**os.environ, **environment, "EDGE_LISTEN": bad},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 2, done.stderr


@pytest.mark.parametrize(
    "bad",
    [
        {"host": "127.0.0.1; return 200"},
        {"host": "a b"},
        {"host": ""},
        {"port": 0},
        {"link_port": 65536},
        {"key": Path("tls/server.key")},
        {"ca": Path('/f/ca"; ssl_verify off; #')},
        {"folder": Path("/f/$uri")},
        {"certificate": Path("/f/a\nb")},
        {"user": "root; daemon on"},
    ],
    ids=str,
)
def test_a_value_cannot_become_a_directive(bad):
    with pytest.raises(ConfigError):
        configuration(**{**VALUES, **bad})


def test_every_word_is_filled_in():
    text = configuration(**{**VALUES, "host": "::1", "user": "www-data"})
    assert "${" not in text
    assert text.startswith("user www-data;\n")
    assert "listen [::1]:18443 ssl;" in text
    assert not configuration(**VALUES).startswith("user")


@needs_nginx
def test_the_command_stays_in_the_foreground_and_in_its_folder(tmp_path):
    arguments = command(tmp_path / "edge.conf")
    assert arguments[1:] == [
        *("-p", f"{tmp_path}/", "-c", f"{tmp_path}/edge.conf", "-e", f"{tmp_path}/edge.log"),
        *("-g", "daemon off;"),
    ]


def test_without_nginx_the_hint_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("server.edge._SYSTEM_FOLDERS", ())
    with pytest.raises(ConfigError) as caught:
        command(tmp_path / "edge.conf")
    assert "apt-get install nginx-light" in caught.value.hint
