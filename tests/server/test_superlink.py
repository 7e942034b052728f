"""What a coordinator is told of a SuperLink that is not running."""

import json
import socket
from subprocess import CompletedProcess

import pytest

from common.errors import SuperLinkError
from server import superlink
from server.superlink import SuperLink

from .invitations import federation


@pytest.fixture
def link(tmp_path, monkeypatch):
    """As Flower's command line answers where nobody listens; the port is nobody's, or ``taken``."""
    made = federation(tmp_path / "federation")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    made.settings = made.settings.model_copy(update={"link_port": port})
    answer = json.dumps({"success": False, "error-message": "Flower configuration not found"})
    monkeypatch.setattr(superlink.subprocess, "run", lambda *_, **__: CompletedProcess([], 1, answer, ""))
    return SuperLink(made)


def test_where_nobody_listens_superlink_does_not_answer(link):
    for ask in (link.online, link.registered, lambda: link.stop_run(1)):
        with pytest.raises(SuperLinkError, match="does not answer") as refused:
            ask()
        assert "fedcgan federation start" in refused.value.hint


def test_where_somebody_listens_it_is_told_what_was_said(link):
    port = link._federation.settings.link_port
    with socket.create_server(("127.0.0.1", port)), pytest.raises(SuperLinkError, match="not found"):
        link.online()
