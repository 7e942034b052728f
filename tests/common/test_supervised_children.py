"""A program that is of no use without its child, as a SuperNode without its SuperExec; and local ports."""

import os
import signal
import socket
import sys
import time
from itertools import pairwise

import pytest

from common import supervision
from common.supervision import Program, Supervisor, free_port

STARTS_A_CHILD = (
    "import os,subprocess,sys,time; f=sys.argv[1];"
    "p=subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)','the-child']);"
    "open(f,'a').write(str(os.getpid())+' '+str(p.pid)+chr(10)); time.sleep(60)"
)


def program(folder, code, **how) -> Program:
    return Program(
        name="parent",
        command=(sys.executable, "-c", code, str(folder / "pids")),
        environment={"PATH": os.environ["PATH"]},
        folder=folder,
        log=folder / "log",
        **how,
    )


def lines(folder) -> list[list[str]]:
    path = folder / "pids"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(supervision, "_PAUSE", 0.0)
    monkeypatch.setattr(supervision, "_LOOK", 0.0)


def killed_child(tmp_path, **how):
    """Run until the parent was started again, or for two seconds after its child was killed."""
    said, killed = [], []
    supervisor = Supervisor([program(tmp_path, STARTS_A_CHILD, **how)], said.append)
    looks = 0

    def meanwhile():
        nonlocal looks
        started = lines(tmp_path)
        looks += bool(started)
        if looks == 3:  # it has been seen with its child
            os.kill(int(started[0][1]), signal.SIGKILL)
            killed.append(time.monotonic())
        if len(started) == 2 or (killed and time.monotonic() - killed[0] > 2):
            supervisor.stop()

    supervisor.run(meanwhile)
    return said, len(lines(tmp_path))


def test_who_has_lost_its_child_is_started_again(tmp_path):
    said, starts = killed_child(tmp_path, child="the-child")
    assert starts == 2
    assert said[0] == "the-child of parent is gone; both are started again"


def test_nobody_else_is(tmp_path):
    assert killed_child(tmp_path) == ([], 1)


def test_who_dies_soon_is_started_again_less_and_less_often(tmp_path, monkeypatch):
    monkeypatch.setattr(supervision, "_PAUSE", 0.1)
    monkeypatch.setattr(supervision, "_LONGEST_PAUSE", 0.4)
    dies = "import sys,time; open(sys.argv[1],'a').write(str(time.time())+chr(10))"
    supervisor = Supervisor([program(tmp_path, dies)], lambda _: None)
    supervisor.run(lambda: supervisor.stop() if len(lines(tmp_path)) == 5 else None)
    times = [float(line[0]) for line in lines(tmp_path)]
    pauses = [after - before for before, after in pairwise(times)]
    assert all(pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.4), strict=True))


def test_it_gets_a_free_port_at_every_start(tmp_path):
    tells = "import sys; open(sys.argv[1],'a').write(' '.join(sys.argv[2:])+chr(10))"
    supervisor = Supervisor([program(tmp_path, tells, port="--port")], lambda _: None)
    supervisor.run(lambda: supervisor.stop() if len(lines(tmp_path)) == 2 else None)
    assert {line[0] for line in lines(tmp_path)} == {"--port"}
    assert all(1024 <= int(line[1]) < 65536 for line in lines(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert free_port() != taken.getsockname()[1]
