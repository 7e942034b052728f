"""The last sum: what one unit can change, what it costs, and that it sees a generator that copies."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from client import outcomes
from client.vault import SHOWN, Vault
from common.config import Release, Training
from common.contributions import encoding, evaluation_features
from common.crypto.secret_file import read_secret
from common.errors import ConfigError, CryptoError, MalformedMessageError, RecordsChangedError
from common.evaluation.judge import judged
from common.evaluation.scored import COLUMNS, HELD_OUT, TASK, TRAINED
from common.evidence.spending import spent
from common.holdout import KEY_FILE, Split, held_out, make_site_key
from common.limits import check_plan
from common.modalities.tabular import encode
from common.plan import COUNT_STEP, EVALUATE_STEP, MEASURE_STEP, attempt, attempted
from common.planning import make_plan, stand_in
from common.privacy.accounting import epsilon
from common.privacy.ledger import Cap, Ledger
from common.privacy.mechanism import GaussianSum
from common.records import Records
from common.rehearsal import synthetic_rows
from common.release_terms import BY_LAST_SUM, Evaluate
from common.states import EvaluateState
from server.checkpoint import Checkpoint
from server.evaluated import evaluated
from server.noisy_counts import area_under_curve
from tests import toy, toy_arrays
from tests.federation import LocalFederation

TABLE = toy.config(training=Training(records_per_site=100), release=Release())
ARRAYS = toy_arrays.config(release=Release())


def plan_of(settings, schema):
    return make_plan(settings, schema, stand_in(settings), "evaluation")


PLAN = plan_of(TABLE, toy.SCHEMA)
PHI = evaluation_features(toy.SCHEMA, PLAN)
SYNTHETIC = encode(toy.records(300, seed=7).drop(columns="hospital"), toy.SCHEMA)


def split_of(rows, subjects, held):
    return Split.of(rows, np.asarray(subjects).astype(str), np.asarray(held))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.booleans(), st.integers(0, 2**31))
def test_a_unit_moves_the_sum_by_its_sides_bound_at_most(rows, held, seed):
    """A subject with any number of rows, added on either side."""
    random = np.random.default_rng(seed)
    others = synthetic_rows(toy.SCHEMA, 20)
    mine = np.stack([random.integers(0, size, rows) for size in toy.SCHEMA.sizes], axis=1)
    sides = random.random(20) < 0.4
    before = PHI.sum(split_of(others, np.arange(20), sides), SYNTHETIC)
    subjects = np.append(np.arange(20), [99] * rows)
    after = PHI.sum(
        split_of(np.concatenate([others, mine]), subjects, np.append(sides, [held] * rows)), SYNTHETIC
    )
    moved = np.linalg.norm(after - before)
    assert moved <= (PLAN.release.evaluate.held_out_gain if held else 1.0) + 1e-9
    if rows == 1:
        assert moved == pytest.approx(PLAN.release.evaluate.held_out_gain if held else 1.0)  # tight
    # control: rows that count one each
    alone = np.append(np.arange(20), 100 + np.arange(rows))
    more = PHI.sum(
        split_of(np.concatenate([others, mine]), alone, np.append(sides, [held] * rows)), SYNTHETIC
    )
    if rows > 4 and not held:
        assert np.linalg.norm(more - before) > 1.5


def test_a_unit_held_out_costs_what_all_sums_cost_and_no_more():
    """By composition of Gaussian mechanisms; a larger gain is refused at every site."""
    evaluate, delta = PLAN.release.evaluate, PLAN.privacy.delta
    all_sums = epsilon(PLAN.mechanisms, delta)
    assert epsilon([evaluate.alone], delta) == pytest.approx(all_sums, rel=1e-3)
    assert epsilon([evaluate.mechanism], delta) < 0.3 * all_sums
    check_plan(PLAN, toy.SCHEMA)
    greedy = evaluate.model_copy(update={"held_out_gain": 1.01 * evaluate.held_out_gain})
    release = PLAN.release.model_copy(update={"evaluate": greedy})
    assert epsilon([greedy.alone], delta) > all_sums
    with pytest.raises(ConfigError, match="held_out_gain"):
        check_plan(PLAN.model_copy(update={"release": release}), toy.SCHEMA)


def test_a_site_that_missed_a_sum_pays_for_its_held_out_units(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl", "a" * 32)
    ledger.create()

    def charge(step, mechanism):
        cap = Cap(epsilon=50.0, delta=1e-5)
        unit = PLAN.privacy.unit
        ledger.charge(mechanism, plan=PLAN.hash, step=step, cap=cap, unit=unit, sensitivity=1.0)

    evaluate, all_sums = PLAN.release.evaluate, epsilon(PLAN.mechanisms, 1e-5)
    assert outcomes.cost(evaluate.mechanism, EVALUATE_STEP, PLAN, ledger).noise_multiplier == pytest.approx(
        evaluate.alone.noise_multiplier
    )
    charge(COUNT_STEP, PLAN.count.mechanism)
    more = outcomes.cost(evaluate.mechanism, EVALUATE_STEP, PLAN, ledger)
    assert epsilon([PLAN.count.mechanism, more], 1e-5) == pytest.approx(all_sums, rel=1e-3)
    assert epsilon([PLAN.count.mechanism, evaluate.mechanism], 1e-5) < 0.7 * all_sums  # which is too little
    charge(f"{MEASURE_STEP}-again-2", PLAN.measure.mechanism)
    assert outcomes.cost(evaluate.mechanism, EVALUATE_STEP, PLAN, ledger) == evaluate.mechanism
    assert outcomes.cost(PLAN.count.mechanism, COUNT_STEP, PLAN, ledger) == PLAN.count.mechanism
    other = PLAN.model_copy(update={"run": "another"})
    assert outcomes.cost(evaluate.mechanism, EVALUATE_STEP, other, ledger) != evaluate.mechanism


def test_every_attempt_at_the_evaluation_costs_a_unit_held_out_the_whole(tmp_path):
    """At the site, in the release, in every view; it is in each attempt with its whole gain."""
    ledger = Ledger(tmp_path / "ledger.jsonl", "a" * 32)
    ledger.create()
    delta, evaluate = PLAN.privacy.delta, PLAN.release.evaluate

    def charge(step, planned):
        mechanism = outcomes.cost(planned, step, PLAN, ledger)
        cap, unit = Cap(epsilon=50.0, delta=delta), PLAN.privacy.unit
        ledger.charge(mechanism, plan=PLAN.hash, step=step, cap=cap, unit=unit, sensitivity=1.0)

    steps = [COUNT_STEP, MEASURE_STEP, *(attempt(EVALUATE_STEP, number) for number in (1, 2, 3))]
    for step in steps:
        for _ in range(2):  # asked again after a crash before the answer: the same charge
            charge(step, PLAN.steps[attempted(step)[0]])
    assert [entry.step for entry in ledger.entries()] == steps
    sums = [m for m in PLAN.mechanisms if isinstance(m, GaussianSum)]
    assert PLAN.train is None
    at_site, held_out_pays = (epsilon(m, delta) for m in (ledger_of(ledger), [evaluate.alone] * 3))
    assert at_site == pytest.approx(held_out_pays, rel=1e-3)
    attempts = {EVALUATE_STEP: 3}
    assert epsilon(PLAN.charged(attempts, PLAN.rounds), delta) == pytest.approx(at_site, rel=1e-9)
    assert epsilon([*sums, *[evaluate.mechanism] * 2], delta) < 0.7 * held_out_pays  # the variant: too little
    assert spent(PLAN, attempts)[-1].epsilon == pytest.approx(at_site, abs=1e-4)
    for view, honest in PLAN.views.items():
        seen = PLAN.seen([evaluate.alone] * 3, honest)
        pays = epsilon(PLAN.charged_in_view(view, attempts, PLAN.rounds), delta)
        assert pays == pytest.approx(epsilon(seen, delta), rel=1e-3)


def ledger_of(ledger):
    return [entry.mechanism for entry in ledger.entries()]


def test_a_site_of_the_evaluation_alone_may_be_asked_again(tmp_path):
    """What it was charged more for sums that it missed is what the retry is held against."""
    ledger = Ledger(tmp_path / "ledger.jsonl", "a" * 32)
    ledger.create()
    evaluate = PLAN.release.evaluate
    for _ in range(2):
        mechanism = outcomes.cost(evaluate.mechanism, EVALUATE_STEP, PLAN, ledger)
        assert mechanism.noise_multiplier == pytest.approx(evaluate.alone.noise_multiplier)
        cap, unit = Cap(epsilon=50.0, delta=1e-5), PLAN.privacy.unit
        ledger.charge(mechanism, plan=PLAN.hash, step=EVALUATE_STEP, cap=cap, unit=unit, sensitivity=1.0)
    assert len(ledger.entries()) == 1


def test_a_gain_that_costs_more_than_is_worked_out_is_refused():
    evaluate = PLAN.release.evaluate.model_dump()
    with pytest.raises(ValidationError, match=r"noise_multiplier / held_out_gain"):
        Evaluate.model_validate({**evaluate, "noise_multiplier": 0.1, "held_out_gain": 2.5})


def test_the_budget_is_kept_with_the_evaluation_in_it():
    without = plan_of(TABLE.model_copy(update={"release": Release(evaluate_share=0)}), toy.SCHEMA)
    for plan in (PLAN, without):
        assert epsilon(plan.mechanisms, plan.privacy.delta) == pytest.approx(3.0, abs=2e-3)
    assert list(without.steps) == list(PLAN.steps)[:-1]
    assert 1.0 < PLAN.measure.noise_multiplier / without.measure.noise_multiplier < 1.04


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    run = toy.run_folder(
        tmp_path_factory.mktemp("evaluated") / "run",
        training=Training(
            records_per_site=80, fit_steps=30, schedule="every-step", rounds=1, sample_rate=0.1
        ),
        release=Release(),
    )
    return LocalFederation(run)


@pytest.fixture(scope="module")
def state(running):
    return running.coordinator().run()


def test_what_is_opened_is_the_pooled_sum_with_the_planned_noise(running, state):
    plan, schema = running.plan, running.run.schema
    phi, exact = evaluation_features(schema, plan), 0.0
    from server.release import shown_records

    shown = shown_records(plan, schema, state)
    for name, vault in running.vaults.items():
        split = vault._load(plan, running.run_folder(name))[1]
        exact = exact + phi.sum(split, shown)
        assert [entry.step for entry in vault.site.ledger.entries()] == list(plan.steps)
        assert vault.site.ledger.outcomes()[-1].outcome == "finished"
    noise = encoding(EVALUATE_STEP, schema, plan).noise_multiplier
    left = (state.evaluation - exact) / noise / (len(plan.federation.sites) / plan.federation.shares) ** 0.5
    assert abs(left.mean()) < 5 / len(left) ** 0.5
    assert left.std() == pytest.approx(1.0, abs=5 / (2 * len(left)) ** 0.5 + 0.01)


def test_a_site_keeps_what_it_was_shown_with_the_discriminator(running, state):
    name = running.plan.federation.names[0]
    raw = read_secret(running.run_folder(name) / SHOWN)
    shown = EvaluateState.from_bytes(raw, toy.SCHEMA, running.plan.release.evaluate.records, judged=True)
    split = running.vaults[name]._load(running.plan, running.run_folder(name))[1]
    scores = judged(split.held_out.rows, toy.SCHEMA, running.plan, shown.judge)
    assert scores.shape == (len(split.held_out.rows),)
    assert np.isfinite(scores).all()
    assert scores.std() > 0
    bare = EvaluateState(rows=shown.rows, judge=None).to_bytes()
    with pytest.raises(MalformedMessageError):  # a plan that trains must show its judge
        EvaluateState.from_bytes(bare, toy.SCHEMA, len(shown.rows), judged=True)


def test_a_checkpoint_knows_what_was_evaluated(running, state):
    again = Checkpoint.load_or_new(running.run.folder / "coordinator", running.plan.hash)
    assert (again.evaluation == state.evaluation).all()
    assert again.evaluated_by == len(running.plan.federation.sites)


def test_sides_may_not_change_while_a_run_goes_on(running, state, tmp_path):
    """Another key, or rows in another order, and a record trained on would enter as one held out, too."""
    name = running.plan.federation.names[0]
    folder = tmp_path / name
    shutil.copytree(running.vaults[name].site.folder, folder)
    again, run = Vault(folder), folder / "runs" / running.plan.hash
    again._load(running.plan, run)  # control: nothing changed
    (folder / KEY_FILE).unlink()
    with pytest.raises(CryptoError, match="there is no"):  # and none is made in its place
        Vault(folder)._load(running.plan, run)
    make_site_key(folder)
    with pytest.raises(RecordsChangedError):
        Vault(folder)._load(running.plan, run)


def opened(phi, split, synthetic, noise, random):
    """The sum as a coordinator sees it."""
    return phi.sum(split, synthetic) + random.normal(0, noise, phi.count)


def reached(plan, total, sites=4):
    """A run whose evaluation was opened with so many contributions."""
    return Checkpoint(path="unused", plan=plan.hash, evaluation=total, evaluated_by=sites)


@pytest.mark.parametrize(("share", "verdict"), [(0.0, "passed"), (0.1, "failed"), (0.03, "failed")])
def test_the_shared_gate_fails_a_generator_that_copies(share, verdict):
    """Copies of records trained on among synthetic ones, seen through the noise of the sum."""
    random = np.random.default_rng(3)
    pool = np.stack([random.integers(0, 12, 24_000) for _ in range(6)], axis=1)
    schema = toy.SCHEMA.model_copy(update={"subject": None, "columns": tuple(_wide(i) for i in range(6))})
    plan = plan_of(TABLE.model_copy(update={"evaluation": None}), schema)
    records, fresh = pool[:12_000], pool[12_000:22_000].copy()
    held = held_out(None, len(records), 0.2, "k" * 16, "file")
    split = Split.of(records, None, held)
    fresh[: int(share * len(fresh))] = split.training.rows[: int(share * len(fresh))]
    phi = evaluation_features(schema, plan)
    noise = plan.release.evaluate.noise_multiplier * (4 / plan.federation.shares) ** 0.5
    total = opened(phi, split, fresh, noise, random)
    found = evaluated(plan, schema, reached(plan, total), None)
    assert found.gate.verdict == verdict, [
        (c.name, c.value, c.resolution, c.verdict) for c in found.gate.criteria
    ]
    assert found.shareable
    assert {criterion.source for criterion in found.gate.criteria} == {"secure sum"}
    assert tuple(criterion.name for criterion in found.gate.criteria) == BY_LAST_SUM


def _wide(number):
    from common.columns import CategoryColumn

    categories = tuple(f"v{i}" for i in range(12))
    return CategoryColumn(name=f"c{number}", categories=categories, condition=number == 5)


def test_few_records_are_not_a_pass(running, state):
    found = evaluated(running.plan, running.run.schema, state, None)
    assert found.gate.verdict == "inconclusive"  # 500 people cannot show what a copy would be
    assert tuple(criterion.name for criterion in found.gate.criteria) == BY_LAST_SUM


def test_figures_of_many_records_are_near_the_truth():
    """Boosting's AUC and the shares of columns, as the exact counts give them."""
    random, count = np.random.default_rng(0), 8000
    rows = encode(toy.records(count).drop(columns="hospital"), toy.SCHEMA)
    split = Split.of(rows, None, held_out(None, count, 0.5, "k" * 16, "file"))
    noise = PLAN.release.evaluate.noise_multiplier
    total = opened(PHI, split, SYNTHETIC, noise, random)
    frame = toy.records(300, seed=7).drop(columns="hospital")
    noisy, exact = (
        evaluated(PLAN, toy.SCHEMA, reached(PLAN, sum_), frame) for sum_ in (total, PHI.sum(split, SYNTHETIC))
    )
    assert noisy.utility[0].low <= exact.utility[0].value <= noisy.utility[0].high
    assert exact.utility[0].value > 0.8  # cost follows from the diagnosis
    assert abs(noisy.fidelity[0].value - exact.fidelity[0].value) < 0.02
    named = {figure.name: figure for figure in noisy.subgroups}
    assert abs(named["auc.boosting/sex=male"].value - exact.utility[0].value) < 0.1
    assert named["auc.boosting/diagnosis=none"].value is None  # no such record has costs


def test_intervals_hold_the_truth_in_19_of_20_cases():
    """Of the AUC and of the columns' distance; for as much noise as the contributing sites brought."""
    random = np.random.default_rng(1)
    pool, frame = (toy.records(n, seed=n).drop(columns="hospital") for n in (20_000, 4000))
    rows, made = encode(pool, toy.SCHEMA), encode(frame, toy.SCHEMA)
    shares = [
        [np.bincount(codes[:, j], minlength=size) / len(codes) for j, size in enumerate(toy.SCHEMA.sizes)]
        for codes in (rows, made)
    ]
    truth = np.mean([np.abs(a - b).sum() / 2 for a, b in zip(*shares, strict=True)])
    whole = Split(Records.of(rows[:0]), Records.of(rows))
    exact = PHI.counts(PHI.sum(whole, SYNTHETIC))[TASK]
    auc = float(area_under_curve(exact[None])[0])
    columns, names = PHI.blocks[-1], [block.name for block in PHI.blocks]
    start = sum(block.count for block in PHI.blocks[: names.index(TASK)])
    task = slice(start, start + exact.size)
    for sites in (3, 4):
        noise = PLAN.release.evaluate.noise_multiplier * (sites / PLAN.federation.shares) ** 0.5
        held, lows = {"auc": 0, "tvd1": 0}, 0
        for _ in range(60):
            some = rows[random.choice(len(rows), 1000, replace=False)]
            total = random.normal(0, noise, PHI.count)
            total[-columns.count :] += PHI._histograms.sum(some, np.ones(len(some))) * columns.weight
            total[task] += random.poisson(exact.ravel() * len(some) / len(rows)) * columns.weight
            found = evaluated(PLAN, toy.SCHEMA, reached(PLAN, total, sites), frame)
            held["auc"] += found.utility[0].low <= auc <= found.utility[0].high
            held["tvd1"] += found.fidelity[0].low <= truth <= found.fidelity[0].high
            figure = found.fidelity[0]
            lows += 2 * figure.value - figure.high <= truth  # control: as if noise raised nothing
        assert held["auc"] >= 52
        assert held["tvd1"] >= 52
        assert lows < 45


def test_synthetic_records_that_a_schema_does_not_allow_are_refused():
    rows = synthetic_rows(toy.SCHEMA, 5)
    honest = EvaluateState(rows=rows, judge=None).to_bytes()
    assert (EvaluateState.from_bytes(honest, toy.SCHEMA, 5, judged=False).rows == rows).all()
    wrong = rows.copy()
    wrong[2, 1] = toy.SCHEMA.sizes[1]
    for raw, count in ((honest, 4), (EvaluateState(rows=wrong, judge=None).to_bytes(), 5), (honest[:-1], 5)):
        with pytest.raises(MalformedMessageError):
            EvaluateState.from_bytes(raw, toy.SCHEMA, count, judged=False)
    waves = synthetic_rows(toy_arrays.WAVES, 5)
    assert (
        EvaluateState.from_bytes(
            EvaluateState(rows=waves, judge=None).to_bytes(), toy_arrays.WAVES, 5, judged=False
        ).rows.shape[0]
        == 5
    )
    for place, value in ((0, 1e6), (0, np.nan), (-1, 7.0)):
        broken = waves.copy()
        broken[0, place] = value
        with pytest.raises(MalformedMessageError):
            EvaluateState.from_bytes(
                EvaluateState(rows=broken, judge=None).to_bytes(), toy_arrays.WAVES, 5, judged=False
            )


@pytest.mark.parametrize("kind", ["image", "signal"])
def test_arrays_are_evaluated_by_their_label(kind):
    arrays, schema = toy_arrays.of(kind)
    plan = plan_of(ARRAYS, schema)
    phi = evaluation_features(schema, plan)
    from common.modalities.array_layout import ArrayLayout

    rows = ArrayLayout.of(schema).to_rows(arrays)
    split = Split.of(rows[400:], None, held_out(None, len(rows) - 400, 0.4, "k" * 16, "file"))
    counts = phi.counts(phi.sum(split, rows[:400]))
    said = counts[TASK]
    assert said.sum() == pytest.approx(split.held_out.units)
    assert np.diagonal(said).sum() / said.sum() > 0.8
    assert counts[TRAINED].sum() == pytest.approx(split.training.units)
    assert counts[HELD_OUT].sum() == pytest.approx(split.held_out.units)
    assert COLUMNS not in counts
    gate = evaluated(plan, schema, reached(plan, phi.sum(split, rows[:400])), arrays).gate
    assert tuple(criterion.name for criterion in gate.criteria) == BY_LAST_SUM
    assert sum(isinstance(m, GaussianSum) for m in plan.mechanisms) == 2
