"""Questions and answers that die with a process between us and a site: they are asked again."""

import pytest
from flwr.app import Error, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode

from common.plan import Federation, Party
from common.protocol.records import from_record, to_record
from common.simulation.inproc import InProcessGrid
from server import courier
from server.courier import Courier

SITES = ("a", "b", "c")
app = ClientApp()


@app.query()
def echo(message, context):
    """The question is the answer, as a vault says the same again."""
    return Message(to_record(from_record(message.content)), reply_to=message)


class LossyGrid(InProcessGrid):
    """Loses what ``fate(node, number)`` says: "question", "answer", an error's code, or nothing."""

    def __init__(self, fate):
        super().__init__(app, len(SITES), {})
        self.fate, self.pushed = fate, {}

    def _push(self, message):
        node = message.metadata.dst_node_id
        self.pushed[node] = number = self.pushed.get(node, 0) + 1
        identifier = super()._push(message)
        fate = self.fate(node, number)
        if fate == "lost":
            del self._replies[identifier]
        elif isinstance(fate, int):
            message.metadata.__dict__["_message_id"] = identifier
            self._replies[identifier] = Message(Error(int(fate), ""), reply_to=message)
        return identifier


class Roll:
    """Which node is whose."""

    def __init__(self, grid, lasting=True):
        self.nodes = dict(zip(SITES, grid.get_node_ids(), strict=True))
        self.lasting = lasting

    def call(self, _exchange):
        return self.nodes


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(courier, "_LOOK", 0.0)
    monkeypatch.setattr(courier, "_GRACE", 0.2)


def asked(fate, lasting=True, answer_seconds=60.0):
    grid, states = LossyGrid(fate), []
    party = [Party(name=name, identity="00" * 32) for name in SITES]
    federation = Federation.model_construct(sites=party)
    roll = Roll(grid, lasting)
    carrier = Courier(
        grid,
        federation,
        roll,
        answer_seconds=answer_seconds,
        poll_seconds=0.001,
        seen=lambda site, state: states.append((site, state)),
    )
    answers = carrier.send({name: name.encode() for name in SITES})
    return answers, {name: grid.pushed[node] for name, node in roll.nodes.items()}, states


def first(node_index, fate):
    return lambda node, number: fate if number == 1 and node == 1000 + node_index else None


def everybody():
    return {name: name.encode() for name in SITES}


def test_nothing_is_said_twice_if_nothing_is_lost():
    assert asked(lambda *_: None)[:2] == (everybody(), dict.fromkeys(SITES, 1))


@pytest.mark.parametrize("code", [ErrorCode.CLIENT_APP_CRASHED, ErrorCode.NODE_UNAVAILABLE])
def test_what_died_with_a_process_is_asked_again(code):
    answers, pushed, states = asked(first(1, code))
    assert answers == everybody()
    assert pushed == {"a": 1, "b": 2, "c": 1}
    assert states[-1] == ("b", "ready")
    assert ("b", "gone") not in states


def test_a_message_that_vanished_is_sent_again_long_before_the_site_is_late():
    answers, pushed, _ = asked(first(2, "lost"), answer_seconds=1.2)
    assert answers == everybody()
    assert pushed == {"a": 1, "b": 1, "c": 2}


def test_a_site_whose_code_fails_is_not_asked_for_ever():
    code = ErrorCode.CLIENT_APP_CRASHED
    answers, pushed, states = asked(lambda node, _: code if node == 1001 else None)
    assert set(answers) == {"a", "c"}
    assert pushed["b"] == 3
    assert states[-1] == ("b", "gone")


def test_an_error_of_the_site_itself_is_an_answer():
    answers, pushed, _ = asked(first(0, ErrorCode.CLIENT_APP_RAISED_EXCEPTION))
    assert set(answers) == {"b", "c"}
    assert pushed["a"] == 1


def test_in_a_simulation_nothing_is_asked_again():
    answers, pushed, _ = asked(first(1, ErrorCode.NODE_UNAVAILABLE), lasting=False)
    assert set(answers) == {"a", "c"}
    assert pushed["b"] == 1


def test_a_node_that_does_not_come_back_is_waited_for_only_so_long(monkeypatch):
    def fate(node, number):
        return ErrorCode.NODE_UNAVAILABLE if node == 1001 else None

    monkeypatch.setattr(
        LossyGrid, "get_node_ids", lambda self: [1000, 1002] if self.pushed else [*range(1000, 1003)]
    )
    answers, pushed, states = asked(fate)
    assert set(answers) == {"a", "c"}
    assert pushed["b"] == 1
    assert states[-1] == ("b", "gone")
