"""A site may vanish at any message and come back: exact sums, or a clean refusal and then exact sums.

Every phase x {crash before the answer is kept, crash after, late, delivered twice, offline}.
"""

import shutil
from collections import Counter

import numpy as np
import pytest

from client import vault as vaults
from client.answers import Answers
from client.vault import Vault
from common.config import Federation, Training
from common.crypto.packing import Packing
from common.errors import NotEnoughSitesError, RefusedError, StepLostError, StorageError
from common.modalities.grouping import Grouping
from common.plan import COUNT_STEP, KEYS_STEP, MEASURE_STEP, PROOF_STEP, attempt, train_step
from common.privacy.accounting import epsilon
from common.protocol import frames
from common.protocol.messages import Contribute, Enrol, KeyCommit, KeyConfirm, KeyDeal, Open
from common.simulation.prepare import Run
from common.states import MeasureState
from server.aggregation import SecureSum
from server.opening import Opening, PendingSum
from tests import toy
from tests.federation import LocalFederation

TRAIN = train_step(1)
CEREMONY = [
    (Enrol.kind, "enrol"),
    (KeyCommit.kind, KEYS_STEP),
    (KeyDeal.kind, KEYS_STEP),
    (KeyConfirm.kind, PROOF_STEP),
]
SUMS = [(kind, step) for step in (MEASURE_STEP, TRAIN) for kind in (Contribute.kind, Open.kind)]
FAILURES = ["crash before keeping", "crash after keeping", "late", "twice", "offline"]


class ProcessKilledError(BaseException):
    """What no handler of the vault may catch: the process is gone."""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    training = toy.config().training.model_copy(update={"rounds": 1, "fit_steps": 5})
    folder = tmp_path_factory.mktemp("dropouts")
    settings = {
        "federation": Federation(threshold=3, min_contributors=3),
        "training": Training(**training.model_dump()),
    }
    return toy.run_folder(folder / "fresh", **settings)


@pytest.fixture(scope="module")
def enrolled(fresh, tmp_path_factory):
    """Keys are made and the first sum is open; the second is next."""
    folder = tmp_path_factory.mktemp("dropouts") / "enrolled"
    shutil.copytree(fresh.folder, folder)
    run = Run(folder, fresh.plan, fresh.schema)
    coordinator = LocalFederation(run).coordinator()
    coordinator._enrol()
    coordinator._count()
    return run


class Watched(LocalFederation):
    """Checks every opened sum against what the summands encrypted, and fails one site at one message."""

    def __init__(self, run, monkeypatch) -> None:
        super().__init__(run)
        self.sums: list[tuple[str, list[str]]] = []
        self.failing: tuple[str, str, str] | None = None
        self.how = ""
        self._sent: dict[tuple[str, str], np.ndarray] = {}
        self._now = ("", "")
        honest_encrypt, honest_open = vaults.encrypt_update, SecureSum.open

        def encrypt(update, packing, joint):
            self._sent[self._now] = update.integers
            return honest_encrypt(update, packing, joint)

        def opened(secure_sum, packing):
            pending = secure_sum._pending
            result = honest_open(secure_sum, packing)
            if pending.step != PROOF_STEP:
                clear = sum(self._sent[site, pending.step] for site in pending.summands)
                assert np.array_equal(result[0], clear)
                self.sums.append((pending.step, pending.summands))
            return result

        monkeypatch.setattr(vaults, "encrypt_update", encrypt)
        monkeypatch.setattr(SecureSum, "open", opened)

    def send(self, frames_by_site):
        answers = {}
        for site, raw in frames_by_site.items():
            header = frames.read(raw, 1 << 30).header
            self._now = (site, header.step)
            failing = (site, header.kind, header.step) == self.failing
            answer = self._failing(site, raw) if failing else self.vaults[site].handle(raw)
            if answer is not None:
                answers[site] = answer
        return answers

    def _failing(self, site, raw):
        self.failing = None
        if self.how == "offline":
            return None
        if self.how == "twice":
            first = self.vaults[site].handle(raw)
            assert self.vaults[site].handle(raw) == first
            return first
        if self.how == "crash before keeping":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Answers, "keep", self._die)
                with pytest.raises(ProcessKilledError):
                    self.vaults[site].handle(raw)
        else:
            self.vaults[site].handle(raw)
        if self.how != "late":
            self.vaults[site] = Vault(self.site_folder(site))
        return None

    @staticmethod
    def _die(*_):
        raise ProcessKilledError

    def charges(self, site):
        return [entry.step for entry in self.vaults[site].site.ledger.entries()]


def watched(run, folder, monkeypatch) -> Watched:
    shutil.copytree(run.folder, folder)
    return Watched(Run(folder, run.plan, run.schema), monkeypatch)


def victim(federation, step) -> str:
    """A key-holder that the step asks first to open."""
    roster = federation.plan.federation
    pending = PendingSum(step, roster.names, [], [], np.zeros(0, np.uint64), 0)
    first = Opening(federation.asking(), pending, Packing(field_bits=14, sites=4, count=1), [])._order()[0]
    return roster.holders[first - 1]


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize(("kind", "step"), CEREMONY)
def test_a_site_that_fails_in_the_ceremony_stops_it_cleanly_and_may_come_back(
    fresh, tmp_path, monkeypatch, kind, step, how
):
    federation = watched(fresh, tmp_path / "run", monkeypatch)
    federation.failing, federation.how = ("site-south", kind, step), how
    if how == "twice":
        federation.coordinator()._enrol()
    else:
        with pytest.raises(NotEnoughSitesError, match="site-south"):
            federation.coordinator()._enrol()
        assert all(federation.charges(site) == [] for site in federation.plan.federation.names)
        federation.coordinator()._enrol()
    federation.coordinator()._count()
    assert federation.sums == [(COUNT_STEP, federation.plan.federation.names)]


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize(("kind", "step"), SUMS)
def test_a_site_that_fails_in_a_sum_leaves_it_exact(enrolled, tmp_path, monkeypatch, kind, step, how):
    federation = watched(enrolled, tmp_path / "run", monkeypatch)
    site = victim(federation, step)
    federation.failing, federation.how = (site, kind, step), how
    state = federation.coordinator().run()
    assert state.rounds_done == 1
    names = federation.plan.federation.names
    lost = kind == Contribute.kind and how != "twice"
    expected = {MEASURE_STEP: names, TRAIN: names} | ({step: [n for n in names if n != site]} if lost else {})
    assert dict(federation.sums) == expected
    charged = [COUNT_STEP]
    charged += [s for s in (MEASURE_STEP, TRAIN) if (s, how) != (step, "offline") or kind == Open.kind]
    assert federation.charges(site) == charged  # once for each step it did anything for, never twice


def test_an_opener_of_the_proof_may_vanish(fresh, tmp_path, monkeypatch):
    federation = watched(fresh, tmp_path / "run", monkeypatch)
    federation.failing, federation.how = (victim(federation, PROOF_STEP), Open.kind, PROOF_STEP), "offline"
    federation.coordinator()._enrol()
    assert federation.coordinator()._checkpoint.enrolled


@pytest.mark.parametrize("how", ["crash before keeping", "offline"])
def test_contributors_that_come_back_finish_the_same_step(enrolled, tmp_path, monkeypatch, how):
    federation = watched(enrolled, tmp_path / "run", monkeypatch)
    gone = federation.plan.federation.names[:2]
    honest = federation.send
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            federation, "send", lambda asked: honest({s: raw for s, raw in asked.items() if s not in gone})
        )
        with pytest.raises(NotEnoughSitesError, match="2 sites contributed"):
            federation.coordinator().run()
        assert federation.sums == []
    federation.failing, federation.how = (gone[0], Contribute.kind, MEASURE_STEP), how
    federation.coordinator().run()
    assert federation.sums[0] == (MEASURE_STEP, [n for n in federation.plan.federation.names if n != gone[0]])


def test_a_decided_sum_is_opened_without_its_summands_ever_coming_back(enrolled, tmp_path, monkeypatch):
    """The coordinator dies after the contributions came; one contributor is gone for good."""
    federation = watched(enrolled, tmp_path / "run", monkeypatch)
    honest, carried = federation.send, 0

    def dies_at_opening(asked):
        nonlocal carried
        if Open.kind in {frames.read(raw, 1 << 30).header.kind for raw in asked.values()}:
            raise ProcessKilledError
        answers = honest(asked)
        carried = sum(map(len, answers.values()))
        return answers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(federation, "send", dies_at_opening)
        with pytest.raises(ProcessKilledError):
            federation.coordinator()._measure()
    gone = federation.plan.federation.names[3]
    monkeypatch.setattr(federation, "send", lambda a: honest({s: raw for s, raw in a.items() if s != gone}))
    restarted = federation.coordinator()
    before = restarted._checkpoint.contribution_bytes
    restarted._measure()
    assert restarted._checkpoint.contribution_bytes == before + carried  # what came before it died
    federation.coordinator().run()
    assert federation.sums[0] == (MEASURE_STEP, federation.plan.federation.names)


def test_a_lost_step_is_retried_under_a_new_id_and_charged_anew(enrolled, tmp_path, monkeypatch):
    """Two of four sites answered another request: the step cannot have three contributions any more."""
    federation = watched(enrolled, tmp_path / "run", monkeypatch)
    spoil(federation)
    with pytest.raises(RefusedError) as refused:
        federation.coordinator()._measure()
    assert refused.value.refusal_code == "privacy-budget"  # the cap leaves no room for a second attempt
    allow_more(federation)
    federation.coordinator().run()
    again = attempt(MEASURE_STEP, 2)
    assert [step for step, _ in federation.sums] == [again, TRAIN]
    assert all(
        Counter(federation.charges(name)) == Counter([COUNT_STEP, MEASURE_STEP, again, TRAIN])
        for name in federation.plan.federation.names
    )


def test_late_key_holders_are_waited_for_if_the_sum_could_not_be_opened_without_them(tmp_path, monkeypatch):
    """Their contributions were made, so they would refuse a sum without them."""
    training = toy.config().training.model_copy(update={"schedule": "moments", "rounds": 0, "fit_steps": 1})
    federation = Watched(
        toy.run_folder(
            tmp_path / "run", federation=Federation(threshold=4, min_contributors=3), training=training
        ),
        monkeypatch,
    )
    federation.failing, federation.how = ("site-east", Contribute.kind, COUNT_STEP), "late"
    federation.coordinator()._enrol()
    with pytest.raises(NotEnoughSitesError, match="3 of them key-holders"):
        federation.coordinator()._count()
    federation.coordinator()._count()
    assert federation.sums == [(COUNT_STEP, federation.plan.federation.names)]


def test_a_checkpoint_that_fell_back_behind_its_decision_costs_an_attempt_not_the_run(
    enrolled, tmp_path, monkeypatch
):
    """Key-holders are bound to a sum that the coordinator has forgotten."""
    federation = watched(enrolled, tmp_path / "run", monkeypatch)
    backup = (federation.run.folder / "coordinator" / "checkpoint.safetensors").read_bytes()
    federation.failing, federation.how = ("site-east", Contribute.kind, MEASURE_STEP), "offline"
    federation.coordinator()._measure()
    (federation.run.folder / "coordinator" / "checkpoint.safetensors").write_bytes(backup)
    with pytest.raises(RefusedError) as refused:
        federation.coordinator()._measure()
    assert refused.value.refusal_code == "privacy-budget"
    allow_more(federation)
    federation.coordinator().run()
    assert [step for step, _ in federation.sums] == [MEASURE_STEP, attempt(MEASURE_STEP, 2), TRAIN]


def test_two_coordinators_do_not_run_one_plan(enrolled, tmp_path, monkeypatch):
    federation = watched(enrolled, tmp_path / "run", monkeypatch)
    with federation.coordinator()._alone(), pytest.raises(StorageError, match="another coordinator"):
        federation.coordinator().run()


def test_a_step_is_not_tried_without_end(enrolled, tmp_path, monkeypatch):
    federation = watched(enrolled, tmp_path / "run", monkeypatch)
    monkeypatch.setattr("server.rounds.MOST_ATTEMPTS", 1)
    spoil(federation)
    with pytest.raises(StepLostError):
        federation.coordinator()._measure()


def allow_more(federation) -> None:
    """Sites that have room for another attempt."""
    for name in federation.plan.federation.names:
        policy = federation.site_folder(name) / "policy.toml"
        policy.write_text(policy.read_text().replace("epsilon_cap = 3.0", "epsilon_cap = 9.0"))


def spoil(federation) -> None:
    attested = [bytes.fromhex(raw) for raw in federation.coordinator()._checkpoint.attested]
    other = Grouping.from_wire(np.zeros(sum(federation.run.schema.sizes), np.int64), federation.run.schema)
    state = MeasureState(grouping=other).to_bytes()  # of a coordinator that lost its checkpoint
    request = Contribute(state=state, attested=attested)
    sites = federation.plan.federation.names[:2]
    replies = federation.asking()(MEASURE_STEP, dict.fromkeys(sites, request), "contribution")
    assert len(replies.good) == 2


def test_a_sum_that_is_off_by_one_is_noticed(enrolled, tmp_path, monkeypatch):
    """Negative control of this file."""
    federation = watched(enrolled, tmp_path / "run", monkeypatch)
    honest = federation.send

    def off_by_one(asked):
        answers = honest(asked)
        federation._sent = {key: integers + 1 for key, integers in federation._sent.items()}
        return answers

    monkeypatch.setattr(federation, "send", off_by_one)
    with pytest.raises(AssertionError):
        federation.coordinator()._measure()


def test_a_step_that_was_tried_again_counts_in_what_is_said(enrolled, tmp_path, monkeypatch):
    federation = watched(enrolled, tmp_path / "run", monkeypatch)
    spoil(federation)
    allow_more(federation)
    state = federation.coordinator().run()
    said = epsilon(federation.plan.charged(state.attempts, 1), federation.plan.privacy.delta)
    site = federation.plan.federation.names[0]
    assert said == federation.vaults[site].site.ledger.spent(1e-5) > 3.5
