"""Starting and stopping a run: what is said to be stopped is stopped."""

from contextlib import ExitStack

import pytest

from common.errors import SuperLinkError
from common.event_log import run_log
from server import starting
from tests import toy

from .conducted import admitted, plan_of, run_of


class Engine:
    """Conducts a run when it is told to, and ends it when it is asked to; ``deaf``: it never ends."""

    def __init__(self):
        self.number, self.stopped, self.deaf = 6, [], False
        self.conducting = ExitStack()
        self.began = lambda: None

    def start_run(self, folder):
        del folder
        self.number += 1
        self.began()
        return self.number

    def stop_run(self, number):
        self.stopped.append(number)
        if not self.deaf and number == self.number:
            self.conducting.close()


@pytest.fixture
def run(tmp_path):
    made, _ = admitted(tmp_path, toy.HOSPITALS[:3])
    return run_of(made, plan_of(made, tmp_path))


@pytest.fixture
def engine():
    made = Engine()
    with made.conducting:
        yield made


def interrupted(*_):
    raise KeyboardInterrupt


def test_a_run_whose_start_was_not_waited_for_can_be_stopped(run, engine, tmp_path, monkeypatch):
    run.number(3)  # of an earlier start
    monkeypatch.setattr(starting.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        starting.begin(run, engine, tmp_path)
    engine.conducting.enter_context(run.alone())
    starting.stop(run, engine)
    assert engine.stopped == [7]
    assert not run.is_conducted()
    assert run.status.state == "stopped"


def test_a_run_that_only_begins_is_stopped_before_it_does(run, engine, tmp_path, monkeypatch):
    monkeypatch.setattr(starting.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        starting.begin(run, engine, tmp_path)
    starting.stop(run, engine)
    assert engine.stopped == [7]


def test_a_run_that_does_not_start_in_time_does_not_start_later(run, engine, tmp_path, monkeypatch):
    monkeypatch.setattr(starting, "_START", 0.0)
    with pytest.raises(SuperLinkError, match="did not start"):
        starting.begin(run, engine, tmp_path)
    assert engine.stopped == [7]
    assert starting.stop(run, engine).state == "waiting"  # nothing is left to be stopped
    assert engine.stopped == [7]


def test_a_run_that_goes_on_is_not_said_to_be_stopped(run, engine, monkeypatch):
    monkeypatch.setattr(starting, "_START", 0.0)
    engine.deaf = True
    run.number(7)
    engine.conducting.enter_context(run.alone())
    with pytest.raises(SuperLinkError, match="not ended in time"):
        starting.stop(run, engine)
    assert run.status.state == "waiting"
    assert not run_log(run.folder).read()[0]


def test_a_run_of_unknown_number_is_not_said_to_be_stopped(run, engine, tmp_path):
    run.number(3)
    engine.began = interrupted  # after the engine has begun, before its number is known
    with pytest.raises(KeyboardInterrupt):
        starting.begin(run, engine, tmp_path)
    engine.conducting.enter_context(run.alone())
    with pytest.raises(SuperLinkError, match="number is not known"):
        starting.stop(run, engine)
    assert engine.stopped == []
    assert run.status.state == "waiting"
