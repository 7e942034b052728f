"""The dashboard has no way out: it imports nothing that opens connections, and opens none."""

import ast
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from common.web.serving import listening

from .test_pages import PAGES, settled

ROOT = Path(__file__).resolve().parents[2]
HERE = sorted((ROOT / "client" / "dashboard").glob("*.py"))
WAYS_OUT = {"asyncio", "ftplib", "grpc", "http", "httpx", "requests", "smtplib", "socket", "ssl", "urllib"}
FOREIGN = {"flwr", "grpc", "client.courier", "client.app", "client.vault", "client.start"}
HARMLESS = {"urllib.parse"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


def test_no_file_imports_a_way_out():
    assert len(HERE) > 10
    for path in HERE:
        found = {name for name in imported(path) if name.split(".")[0] in WAYS_OUT} - HARMLESS
        assert not found, path
    serving = ROOT / "common" / "web" / "serving.py"  # negative control: that one listens
    assert "socket" in set(imported(serving))


def test_its_process_never_loads_flower_the_courier_or_the_vault():
    script = f"import sys; import client.dashboard.application;print({FOREIGN!r} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.fixture
def connected(monkeypatch):
    """Where anybody of this process connected to, by its family."""
    found, honest = [], socket.socket.connect

    def connect(self, address):
        found.append((self.family, address))
        return honest(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return found


def test_no_page_and_no_action_connects_to_anything(folder, inside, proposed, connected):
    """Our own client's connections to the dashboard apart."""
    (folder.with_name(folder.name + ".courier")).mkdir()
    for page in [*PAGES, f"/plans/{proposed.hash}", "/budget/part", "/machine/part", "/releases/part"]:
        assert inside.get(page).status_code == 200
    inside.act("/check", plan=proposed.hash)
    settled(inside, "/check", "/", 'http-equiv="refresh"')
    inside.act(f"/plans/{proposed.hash}/approve", read="yes")
    inside.act("/standing/pause", reason="no")
    ours = ("127.0.0.1", inside.web.port)
    outside = [one for one in connected if one[0] != socket.AF_UNIX and one[1] != ours]
    assert outside == []
    assert {one[0] for one in connected} <= {socket.AF_UNIX, socket.AF_INET}
    with listening(0) as other, socket.socket() as caller:  # negative control
        caller.connect(address := other.getsockname())
    assert connected[-1][1] == address
