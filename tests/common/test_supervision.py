"""Programs that are kept alive, and end with their supervisor however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common import supervision
from common.errors import StorageError
from common.supervision import Program, Supervisor

ROOT = Path(__file__).resolve().parents[2]
WRITES_PID = "import os,sys,time; open(sys.argv[1],'a').write(str(os.getpid())+chr(10)); time.sleep(60)"


def program(folder, name="sleeper", code=WRITES_PID, **how) -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-c", code, str(folder / f"{name}.pids")),
        environment={"PATH": os.environ["PATH"]},
        folder=folder,
        log=folder / f"{name}.log",
        **how,
    )


def pids(folder, name="sleeper") -> list[int]:
    path = folder / f"{name}.pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(is_so, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(supervision, "_PAUSE", 0.0)


def test_what_dies_is_started_again_and_all_end_together(tmp_path):
    said = []
    supervisor = Supervisor([program(tmp_path)], said.append)

    def meanwhile():
        started = pids(tmp_path)
        if len(started) == 1 and alive(started[0]):
            os.kill(started[0], signal.SIGKILL)
        elif len(started) == 2:
            supervisor.stop()

    supervisor.run(meanwhile)
    assert len(pids(tmp_path)) == 2
    assert not any(map(alive, pids(tmp_path)))
    assert any("SIGKILL" in text for text in said)


def test_what_a_dead_program_left_behind_goes_before_it_starts_again(tmp_path):
    """As nginx's workers, which would hold the port."""
    leaves = (
        "import os,subprocess,sys,time; f=sys.argv[1];"
        "p=subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)']);"
        "open(f,'a').write(str(os.getpid())+' '+str(p.pid)+chr(10)); time.sleep(60)"
    )
    supervisor = Supervisor([program(tmp_path, code=leaves)], lambda _: None)
    seen: list[int] = []

    def meanwhile():
        started = pids(tmp_path)
        if len(started) == 2 and not seen:
            seen.extend(started)
            os.kill(started[0], signal.SIGKILL)
        elif len(started) == 4:
            supervisor.stop()

    supervisor.run(meanwhile)
    assert not any(map(alive, seen))


def test_nothing_of_the_environment_is_inherited(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_OURS", "yes")
    tells = "import os,sys,time; open(sys.argv[1],'w').write(' '.join(os.environ)); time.sleep(60)"
    supervisor = Supervisor([program(tmp_path, code=tells)], lambda _: None)
    supervisor.run(lambda: supervisor.stop() if (tmp_path / "sleeper.pids").exists() else None)
    assert "SECRET_OF_OURS" not in (tmp_path / "sleeper.pids").read_text()


def test_a_program_waits_for_the_file_that_it_needs(tmp_path):
    needed = tmp_path / "state.db"
    supervisor = Supervisor([program(tmp_path, needs=needed)], lambda _: None)
    looks = 0

    def meanwhile():
        nonlocal looks
        looks += 1
        if looks == 3:
            assert not pids(tmp_path)
            needed.touch()
        if pids(tmp_path):
            supervisor.stop()

    supervisor.run(meanwhile)


def test_programs_end_with_a_supervisor_that_was_killed(tmp_path):
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from common.supervision import Program, Supervisor
program = Program(name="sleeper", command=(sys.executable, "-c", {WRITES_PID!r}, sys.argv[1]),
                  environment=dict(os.environ), folder=Path(sys.argv[2]), log=Path(sys.argv[2]) / "log")
Supervisor([program], print).run()
"""
    path = tmp_path / "sleeper.pids"
    with subprocess.Popen([sys.executable, "-c", code, str(path), str(tmp_path)]) as supervisor:
        until(lambda: pids(tmp_path))
        (pid,) = pids(tmp_path)
        assert alive(pid)
        supervisor.kill()
        until(lambda: not alive(pid))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs of another user")
def test_a_program_has_the_rights_of_its_user_alone(tmp_path):
    tells = "id -u; id -g; id -G; sleep 60"
    one = Program(
        name="sleeper",
        command=("/bin/sh", "-c", tells),
        environment={"PATH": "/usr/bin:/bin"},
        folder=Path("/"),
        log=tmp_path / "log",
        user=65534,
        group=65534,
    )
    supervisor = Supervisor([one], lambda _: None)
    supervisor.run(lambda: supervisor.stop() if (tmp_path / "log").read_text().count("\n") == 3 else None)
    assert (tmp_path / "log").read_text().split() == ["65534"] * 3


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_a_log_that_is_no_file_is_not_written(tmp_path, what):
    """Root supervises programs of a user who owns the folder of their logs, and may have put a link there."""
    target, log = tmp_path / "target", tmp_path / "sleeper.log"
    if what == "link":
        log.symlink_to(target)
    else:
        os.mkfifo(log)
    with pytest.raises(StorageError, match=r"sleeper\.log"):
        Supervisor([program(tmp_path)], print).run()
    assert not target.exists()
    assert not pids(tmp_path)
    log.unlink()
    supervisor = Supervisor([program(tmp_path)], print)
    supervisor.run(lambda: supervisor.stop() if pids(tmp_path) else None)  # negative control
    assert log.is_file()
