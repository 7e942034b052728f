"""``fedcgan site dashboard``: what is typed, and what the terminal then shows."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from common.launch import command

ROOT = Path(__file__).resolve().parents[2]


def started(*words):
    return subprocess.Popen(
        [*command(), "site", "dashboard", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_link_opens_the_dashboard_once_and_it_ends_when_told(folder):
    port = free()
    running = started(folder, "--port", port, "--read-only")
    try:
        line = running.stdout.readline()
        link = re.fullmatch(rf"Site site-east: (http://127\.0\.0\.1:{port}/enter\?token=\S+)\n", line)[1]
        with httpx.Client() as browser:
            assert browser.get(f"http://127.0.0.1:{port}/").status_code == 401
            assert "This site is active" in browser.get(link, follow_redirects=True).text
            assert browser.get(link).status_code == 403
            assert "read only" in browser.get(f"http://127.0.0.1:{port}/standing").text
    finally:
        running.send_signal(signal.SIGTERM)
        said = running.communicate(timeout=30)[1]
    assert "Traceback" not in said


def test_a_folder_without_a_site_is_said_so(tmp_path):
    done = started(tmp_path / "nowhere")
    said = done.communicate(timeout=60)[1]
    assert done.returncode == 2
    assert "there is no site in" in said


def test_help_loads_no_web_server():
    script = "import sys, client.cli; print({'fastapi', 'uvicorn', 'torch', 'jinja2'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
