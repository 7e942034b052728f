"""What the ledger says about the end of a step or a run, and that it never says why in a record's words."""

import pytest

from client.outcomes import note_answer
from client.vault import Vault
from common.errors import HeadroomError
from common.plan import attempt
from common.protocol import frames
from common.protocol.messages import Contribution, Refused
from tests.privacy.test_crashes import reach_contribution


@pytest.fixture
def reached(tmp_path):
    return reach_contribution(tmp_path)


def outcomes(folder):
    return [(line.step, line.outcome, line.reason) for line in Vault(folder).site.ledger.outcomes()]


@pytest.mark.parametrize(
    ("error", "code"),
    [(RuntimeError("patient 4711"), "internal"), (HeadroomError("4711 is too much"), "crypto-headroom")],
)
def test_a_step_that_fails_after_its_charge_is_written_down_and_may_be_repeated(
    reached, monkeypatch, error, code
):
    _, folder, question = reached
    step = frames.read(question, 1 << 30).header.step

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("client.vault.encrypt_update", fail)
        for _ in range(2):
            refused = frames.read(Vault(folder).handle(question), 1 << 30)
            assert Refused.from_bytes(refused.body).code == code
    assert outcomes(folder) == [(step, "failed", code)]
    assert "4711" not in (folder / "ledger.jsonl").read_text()
    assert frames.read(Vault(folder).handle(question), 1 << 30).header.kind == Contribution.kind
    ledger = Vault(folder).site.ledger
    assert ([entry.step for entry in ledger.entries()], len(ledger.answers())) == ([step], 1)


def test_a_step_that_is_answered_at_once_did_not_fail(reached):
    """Negative control."""
    _, folder, question = reached
    Vault(folder).handle(question)
    assert outcomes(folder) == []


def test_another_attempt_says_that_the_first_was_abandoned(reached):
    federation, folder, question = reached
    first = frames.read(question, 1 << 30)
    policy = folder / "policy.toml"
    policy.write_text(policy.read_text().replace("epsilon_cap = 3.0", "epsilon_cap = 9.0"))
    assert frames.read(Vault(folder).handle(question), 1 << 30).header.kind == Contribution.kind
    again = frames.sign(
        federation.identity,
        first.header.kind,
        first.header.plan,
        attempt(first.header.step, 2),
        first.header.sender,
        first.body,
    ).to_bytes()
    for _ in range(2):
        assert frames.read(Vault(folder).handle(again), 1 << 30).header.kind == Contribution.kind
    assert outcomes(folder) == [(first.header.step, "abandoned", "")]


def test_a_run_is_finished_when_its_last_step_was_answered_and_not_before(reached):
    federation, folder, question = reached
    plan, ledger = federation.plan, Vault(folder).site.ledger
    last = list(plan.steps)[-1]
    Vault(folder).handle(question)
    assert last != frames.read(question, 1 << 30).header.step
    assert outcomes(folder) == []
    note_answer(ledger, b"answer", plan, attempt(last, 3))
    note_answer(ledger, b"answer", plan, last)
    assert outcomes(folder) == [("", "finished", "")]
