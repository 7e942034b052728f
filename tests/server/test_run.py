"""The coordinator with real vaults: sums are exact, dropouts and crashes lose nothing."""

import numpy as np
import pytest

from common.contributions import encoding
from common.errors import NotEnoughSitesError, RefusedError, StorageError
from common.plan import COUNT_STEP, MEASURE_STEP, train_step
from common.privacy.accounting import epsilon
from common.privacy.integer_noise import NoiseGrid
from server.checkpoint import Checkpoint
from tests import toy
from tests.federation import LocalFederation

STEPS = [COUNT_STEP, MEASURE_STEP, train_step(1), train_step(2)]


@pytest.fixture
def federation(tmp_path):
    return LocalFederation(toy.run_folder(tmp_path / "run"))


def test_a_run_ends_with_a_generator_and_every_site_charged_the_same(federation):
    state = federation.coordinator().run()
    assert state.rounds_done == 2
    assert np.isfinite(state.average).all()
    for name in federation.plan.federation.names:
        ledger = federation.vaults[name].site.ledger
        steps = [entry.step for entry in ledger.entries()]
        assert steps == STEPS
        spent = ledger.spent(federation.plan.privacy.delta)
        assert spent == epsilon(federation.plan.mechanisms, federation.plan.privacy.delta) <= 3.0


def test_the_opened_sum_is_the_sum_of_what_the_sites_encrypted(federation, monkeypatch):
    sent = []
    original = NoiseGrid.to_integers

    def remember(self, values, random):
        sent.append(original(self, values, random))
        return sent[-1]

    monkeypatch.setattr(NoiseGrid, "to_integers", remember)
    coordinator = federation.coordinator()
    coordinator._enrol()
    coordinator._sum.attested = [bytes.fromhex(raw) for raw in coordinator._checkpoint.attested]
    packing = encoding(COUNT_STEP, federation.run.schema, federation.plan).packing
    opened, contributors = coordinator._sum(COUNT_STEP, b"", packing)
    assert contributors == len(sent) == 4
    assert np.array_equal(opened, np.sum(sent, axis=0))


def test_the_measured_total_is_the_number_of_subjects_within_noise(federation):
    coordinator = federation.coordinator()
    coordinator._enrol()
    coordinator._count()
    coordinator._measure()
    real = federation.run.tables()[0].patient.nunique()
    assert abs(coordinator.measured.total - real) < 0.1 * real


def test_one_site_may_drop_out_of_a_round(federation):
    dropped = federation.plan.federation.names[-1]
    federation.before = lambda site, raw: None if site == dropped and b"contribute" in raw[:64] else raw
    state = federation.coordinator().run()
    assert state.rounds_done == 2


def test_too_few_sites_stop_the_run_and_it_resumes(federation):
    gone = federation.plan.federation.names[2:]
    coordinator = federation.coordinator()
    coordinator._enrol()
    coordinator._count()
    coordinator._measure()
    federation.before = lambda site, raw: None if site in gone else raw
    with pytest.raises(NotEnoughSitesError, match="2 sites contributed"):
        federation.coordinator().run()
    federation.before = lambda _, raw: raw
    assert federation.coordinator().run().rounds_done == 2
    for name in federation.plan.federation.names:
        entries = federation.vaults[name].site.ledger.entries()
        assert [entry.step for entry in entries] == STEPS


def test_a_crash_of_the_coordinator_after_any_step_repeats_nothing(federation):
    """Killed before each checkpoint in turn: sites repeat their stored answers, nothing is charged twice."""
    saves = 0
    original = Checkpoint.save

    class CrashError(Exception):
        pass

    def crash_first(self):
        nonlocal saves
        saves += 1
        if saves % 2:
            raise CrashError
        original(self)

    crashes = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", crash_first)
        while True:
            try:
                state = federation.coordinator().run()
                break
            except CrashError:
                crashes += 1
    assert crashes >= 4
    assert state.rounds_done == 2
    for name in federation.plan.federation.names:
        entries = federation.vaults[name].site.ledger.entries()
        assert [entry.step for entry in entries] == STEPS


def test_an_altered_answer_is_refused(federation):
    def flip(site, raw):
        return raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:] if site.endswith("east") else raw

    federation.after = flip
    with pytest.raises((RefusedError, Exception), match=r"altered|verify|no message"):
        federation.coordinator().run()


def test_a_checkpoint_of_another_plan_or_a_damaged_one_is_refused(federation, tmp_path):
    state = Checkpoint.load_or_new(tmp_path, "a" * 64)
    state.save()
    with pytest.raises(StorageError, match="another plan"):
        Checkpoint.load_or_new(tmp_path, "b" * 64)
    state.path.write_bytes(state.path.read_bytes()[:20])
    with pytest.raises(StorageError, match="damaged"):
        Checkpoint.load_or_new(tmp_path, "a" * 64)
