"""``federation start``: supervises whatever SuperLink does, and rehearses with everybody who comes."""

import threading

import pytest

from common.errors import SuperLinkError
from common.supervision import Supervisor
from server import start as module
from server.beside import Beside
from server.nodes import Nodes
from server.start import _Host
from tests import toy
from tests.common.test_supervision import pids, program

from .conducted import admitted

NAMES = toy.HOSPITALS[:2]


def test_a_look_that_hangs_keeps_neither_programs_dead_nor_the_end_away(tmp_path):
    hangs, looks = threading.Event(), []

    def look():
        looks.append(1)
        hangs.wait(60)

    supervisor = Supervisor(
        [program(tmp_path, code="import os,sys; print(1, file=open(sys.argv[1], 'a'))")], str
    )
    beside, calls = Beside(look), []

    def meanwhile():
        beside()
        calls.append(1)
        if len(pids(tmp_path)) > 1:  # it died, and was started again
            supervisor.stop()

    supervisor.run(meanwhile)
    assert len(looks) == 1 < len(calls)
    hangs.set()
    beside.end(60)


def test_what_a_look_raises_ends_the_programs():
    def look():
        raise ZeroDivisionError

    beside = Beside(look)
    beside()
    beside.end(60)
    with pytest.raises(ZeroDivisionError):
        beside()


class Link:
    """Stands where SuperLink would be: both are online, and no run can be started until it is told."""

    def __init__(self):
        self.fails, self.tried = True, []

    def registered(self):
        return {1, 2}

    def online(self):
        return {1: "now", 2: "now"}

    def start_run(self, folder):
        self.tried.append(folder.name)
        if self.fails:
            raise SuperLinkError("it refuses")
        return len(self.tried)


def test_a_rehearsal_that_did_not_start_is_tried_again_after_the_others(tmp_path, monkeypatch):
    made, _ = admitted(tmp_path, NAMES)
    nodes, link = Nodes(made.folder / "flower" / "nodes.json"), Link()
    for number, name in enumerate(NAMES, 1):
        nodes.keep(made.member(name).node_key, number)
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    host = _Host(made, link, rehearse=True)

    def looked(times=1):
        for _ in range(times):
            clock[0] += module._ASKED
            host.look()
        return link.tried

    first, second = looked(2)
    assert {first, second} == set(NAMES)
    link.fails = False
    clock[0] += module._AGAIN
    assert looked(2)[2:] == [first, second]
    assert len(looked(30)) == 4  # with whom it began, once
