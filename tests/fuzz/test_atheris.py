"""The coverage-guided target starts, runs and finds nothing, where atheris is installed."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from . import memory

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has wheels for Linux on x86-64 only")
def test_a_short_run_finds_nothing(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz.decoders",
            "-runs=3000",
            "-max_total_time=10",
            "-seed=1",
            f"-artifact_prefix={tmp_path}/",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize(("asked", "granted"), [(memory.ROOM // 8, True), (memory.ROOM, False)])
def test_what_takes_too_much_memory_is_stopped(asked, granted):
    """Control: whatever the peak of the process that started it was."""
    program = f"from tests.fuzz import memory; memory.bound(); bytearray({asked})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is granted, done.stderr
    assert ("MemoryError" in done.stderr) is not granted
