"""The three schedules from end to end: what is charged, what awkward records do, going on after a crash."""

import numpy as np
import pytest

from common.config import Training
from common.contributions import encoding, histograms, pairs
from common.modalities.layout import Layout
from common.modalities.tabular import encode
from common.privacy.accounting import epsilon
from common.records import Records
from common.simulation.prepare import prepare
from server.checkpoint import Checkpoint
from server.release import released_generator
from server.released import released_grouping
from tests import toy
from tests.federation import LocalFederation

SCHEDULES = [("moments", 0), ("every-step", 3), ("local", 2)]


def training(schedule: str, rounds: int) -> Training:
    return Training(
        records_per_site=70,
        schedule=schedule,
        rounds=rounds,
        local_steps=3,
        generator_steps=2,
        sample_rate=0.1,
        fit_steps=30,
    )


def awkward():
    """A class that one hospital alone has, and a column with a single value."""
    frame = toy.records()
    elsewhere = (frame.hospital != "north") & (frame.diagnosis == "severe")
    return frame.assign(smoker="no", diagnosis=frame.diagnosis.mask(elsewhere, "mild"))


def federation(folder, schedule, rounds, frame=None):
    config = toy.config(training=training(schedule, rounds))
    return LocalFederation(prepare(config, awkward() if frame is None else frame, toy.SCHEMA, folder / "run"))


@pytest.mark.parametrize(("schedule", "rounds"), SCHEDULES)
def test_a_run_charges_its_steps_and_releases_a_generator(tmp_path, schedule, rounds):
    running = federation(tmp_path, schedule, rounds)
    plan, schema = running.plan, running.run.schema
    state = running.coordinator().run()
    assert state.rounds_done == rounds
    for vault in running.vaults.values():
        assert [entry.step for entry in vault.site.ledger.entries()] == list(plan.steps)
        assert {entry.unit for entry in vault.site.ledger.entries()} == {"add/remove one subject"}
        assert vault.site.ledger.outcomes()[-1].outcome == "finished"
        spent = vault.site.ledger.spent(plan.privacy.delta)
        assert spent == pytest.approx(epsilon(plan.mechanisms, plan.privacy.delta), rel=1e-6)
        assert spent <= plan.privacy.epsilon
    generator = released_generator(plan, schema, state)
    made = generator.sample(500, {"diagnosis": "severe"}, seed=0)
    assert set(made.diagnosis) == {"severe"}
    assert (generator.sample(2000, {}, seed=0).smoker == "no").mean() > 0.9
    encode(made, schema)  # nothing that the schema does not allow


@pytest.mark.parametrize("dies_at", ["count", "measure", "train-0002"])
def test_a_coordinator_that_dies_goes_on_and_charges_nothing_twice(tmp_path, dies_at):
    running = federation(tmp_path, "every-step", 3)
    keep = Checkpoint.save

    def die(state):
        keep(state)
        at = {"count": state.counts, "measure": state.moments, "train-0002": state.rounds_done >= 2 or None}
        if at[dies_at] is not None:
            raise KeyboardInterrupt

    coordinator = running.coordinator()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", die)
        with pytest.raises(KeyboardInterrupt):
            coordinator.run()
    state = running.coordinator().run()
    assert state.rounds_done == 3
    assert state.adversary is not None
    for vault in running.vaults.values():
        assert [entry.step for entry in vault.site.ledger.entries()] == list(running.plan.steps)


def test_optimisers_and_averages_survive_a_restart_exactly(tmp_path):
    state = federation(tmp_path, "every-step", 3).coordinator().run()
    again = Checkpoint.load_or_new(tmp_path / "run" / "coordinator", state.plan)
    for name in ("first", "second", "parameters", "average"):
        assert (getattr(again.adversary, name) == getattr(state.adversary, name)).all()
    assert again.adversary.accuracy == state.adversary.accuracy
    assert again.adversary.generator_steps == state.adversary.generator_steps


def test_what_is_opened_is_the_pooled_sum_with_the_planned_noise(tmp_path):
    """Counts of all sites together, noise of as many shares as contributed: neither less nor more."""
    running = federation(tmp_path, "moments", 0)
    plan, schema = running.plan, running.run.schema
    state = running.coordinator().run()
    frame, _ = running.run.tables()
    pooled = Records.of(encode(frame, schema), frame["patient"].to_numpy())
    phi, singles = pairs(schema, plan), histograms(schema)
    grouping = released_grouping(plan, schema, state)
    codes = Layout.of(schema).to_model(grouping.to_groups(pooled.rows, schema))
    shares = len(plan.federation.sites) / plan.federation.shares
    for opened, exact, step in (
        (state.counts, singles.sum(pooled.rows, pooled.weights), "count"),
        (state.moments, phi.sum(codes, pooled.weights), "measure"),
    ):
        noise = (opened - exact) / (encoding(step, schema, plan).noise_multiplier * shares**0.5)
        assert abs(noise.mean()) < 5 / len(noise) ** 0.5
        assert noise.std() == pytest.approx(1.0, abs=5 / (2 * len(noise)) ** 0.5 + 0.01)
    assert np.abs(state.moments).max() > 1
