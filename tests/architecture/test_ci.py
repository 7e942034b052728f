"""The test command from a clean clone: without nginx or a browser it fails, and skips no tests for it."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "run"
NEEDED = ("nginx", "envsubst", "chromium")


@pytest.fixture
def machine(tmp_path):
    """Runs a copy of the script where there are these programs only; apt-get can install none."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci")
    for name in ("sh", "dirname", "id", "mkdir"):
        (programs / name).symlink_to(shutil.which(name))
    for name, line in {"apt-get": "exit 100", "make": 'echo "make $*"'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)

    def run(*there: str, **environment: str) -> subprocess.CompletedProcess[str]:
        for name in NEEDED:
            (programs / name).unlink(missing_ok=True)
        for name in there:
            (programs / name).symlink_to(shutil.which("true"))
        return subprocess.run(
            [tmp_path / ".ci" / "run"],
            env={"PATH": str(programs), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_what_is_here_needs_no_packages(machine):
    done = machine(*NEEDED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "make test\n", "")
    named = machine("nginx", "envsubst", FEDCGAN_CHROMIUM=shutil.which("true") or "")
    assert (named.returncode, named.stdout) == (0, "make test\n")


@pytest.mark.parametrize("absent", ["envsubst", "chromium"])  # nginx is found in /usr/sbin, too
def test_what_cannot_be_had_ends_it(machine, absent):
    done = machine(*(name for name in NEEDED if name != absent))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no {absent}" in done.stderr
