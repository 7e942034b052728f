"""A process's peak of memory is its own, not that of whoever started it."""

import subprocess
import sys

import pytest

CHILD = (
    "from common.processes import peak_bytes; import resource; print(peak_bytes(), resource.getrusage(0)[2])"
)
LARGE = 300 << 20


def peaks(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    own, said = map(int, done.stdout.split())
    return own, said * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of Linux")
def test_a_small_child_of_a_large_process_is_small():
    parent = f"""import subprocess, sys
large = b"1" * {LARGE}
print(subprocess.run([sys.executable, "-c", {CHILD!r}], capture_output=True, text=True).stdout)"""
    own, said = peaks(parent)
    assert own < LARGE / 2
    assert said > LARGE  # control: what the system's own call says


def test_what_a_process_held_and_gave_back_counts():
    own, _ = peaks(f'large = b"1" * {LARGE}; del large; {CHILD}')
    assert own > LARGE
