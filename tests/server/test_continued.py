"""Continued training: sums add up, budgets add up, classes may be added, and nothing else may change."""

import json
import tomllib

import numpy as np
import pandas as pd
import pytest
import tomli_w
from typer.testing import CliRunner

from common import release_files
from common.array_generator import ReleasedArrays
from common.arrays import Arrays
from common.columns import CategoryColumn
from common.config import Features, Federation, Sites, Training
from common.continuation import Continues, Ran
from common.contributions import array_features, histograms, pairs
from common.earlier import FACT, Earlier, own_noise, sum_noise
from common.errors import ConfigError, EmptyClassError, RefusedError, StorageError
from common.holdout import held_out, site_key
from common.modalities.array_files import write_records
from common.modalities.array_layout import ArrayLayout
from common.modalities.layout import Layout
from common.modalities.tabular import encode
from common.models.arrays import new_generator
from common.plan import Plan
from common.planning import make_plan, stand_in
from common.privacy.accounting import epsilon, rounded_up
from common.privacy.mechanism import GaussianSum, SampledGaussian
from common.records import Records
from common.released import load_release
from common.schema import SignalSchema
from common.simulation.carried import Before
from common.simulation.prepare import prepare
from server import cli
from server.checkpoint import Checkpoint
from server.measured import ArrayMeasured, measured, trained_on
from server.release import released_generator, sums_file
from server.released import released_grouping, released_noise, released_sums
from server.run_folder import folder_of_simulation
from server.simulate import promised, simulate
from tests import toy, toy_arrays
from tests.energy import distance
from tests.federation import LocalFederation

DELTA = 1e-5
TIME = np.arange(16) / 16
BUMP = np.exp(-(((TIME - 0.5) / 0.12) ** 2))
GROWN = SignalSchema(
    **toy_arrays.WAVES.model_dump(exclude={"label"}),
    label=CategoryColumn(name="kind", categories=("sine", "ramp", "bump")),
)


def table_config(**training):
    return toy.config(training=Training(records_per_site=70, fit_steps=30, **training), evaluation=None)


def wave_config(**changes):
    return toy_arrays.config(training=Training(records_per_site=100, fit_steps=100), **changes)


def bumps(count):
    random = np.random.default_rng(9)
    values = 1.5 * BUMP * random.uniform(0.7, 1.0, (count, 1)) + random.normal(0, 0.05, (count, 16))
    return Arrays(values[:, None].astype(np.float32), np.full(count, 2))


class Finished:
    """A run through real vaults and encryption, released to a folder."""

    def __init__(self, config, data, schema, out, before=None):
        self.out = out
        self.run = prepare(config, data, schema, folder_of_simulation(out), before)
        self.federation = LocalFederation(self.run)
        self.state = self.federation.coordinator().run()
        release_files.save_sums(out, sums_file(self.plan, schema, self.state))
        released_generator(self.plan, schema, self.state).save(out)
        self.generator = load_release(out)

    @property
    def plan(self) -> Plan:
        return self.run.plan

    def before(self) -> Before:
        return Before.open(self.out, folder_of_simulation(self.out))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    out = tmp_path_factory.mktemp("table") / "first"
    return Finished(
        table_config(schedule="every-step", rounds=1, sample_rate=0.1), toy.records(), toy.SCHEMA, out
    )


@pytest.fixture(scope="module")
def continued(table):
    new = toy.records(800, seed=5)
    return Finished(table_config(), new, toy.SCHEMA, table.out.with_name("second"), table.before())


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    out = tmp_path_factory.mktemp("waves") / "first"
    return Finished(wave_config(), toy_arrays.waves(), toy_arrays.WAVES, out)


def test_the_ledger_has_both_runs_and_composes_to_what_is_reported(table, continued):
    steps = [*table.plan.steps, *continued.plan.steps]
    everything = [*table.plan.mechanisms, *continued.plan.mechanisms]
    said = continued.generator.facts["epsilon"]
    for name, vault in continued.federation.vaults.items():
        ledger = vault.site.ledger
        assert [charge.step for charge in ledger.entries()] == steps
        assert rounded_up(ledger.spent(DELTA)) == said == rounded_up(epsilon(everything, DELTA))
        assert ledger.spent(DELTA) <= vault.site.policy.epsilon_cap
        assert ledger.dataset == table.federation.vaults[name].site.ledger.dataset
        assert vault.site.records.name == "records-2.parquet"
        assert not (vault.site.folder / "runs" / table.plan.hash).exists()  # keys and answers stay out
    assert continued.plan.privacy.epsilon == said > table.generator.facts["epsilon"]
    assert continued.plan.hash != continued.plan.model_copy(update={"continues": None}).hash


def test_two_gaussian_sums_cost_what_one_of_the_harmonic_noise_costs(waves):
    config = wave_config()
    earlier = Earlier.load(waves.out)
    plan = make_plan(config, toy_arrays.WAVES, stand_in(config), "again", earlier)
    first, second = waves.plan.measure.noise_multiplier, plan.measure.noise_multiplier
    one = GaussianSum(noise_multiplier=(first**-2 + second**-2) ** -0.5)
    assert epsilon(plan.charged({}, 0), DELTA) == pytest.approx(epsilon([one], DELTA), rel=1e-9)
    held = first * (len(waves.plan.federation.sites) / waves.plan.federation.shares) ** 0.5
    assert earlier.continues.measure_noise == pytest.approx(held)  # of all sites, more than is charged
    assert sum_noise(plan)[1] == pytest.approx((held**2 + second**2) ** 0.5)
    twice = epsilon(plan.charged({"measure": 2}, 0), DELTA)
    one = GaussianSum(noise_multiplier=(first**-2 + 2 * second**-2) ** -0.5)
    assert twice == pytest.approx(epsilon([one], DELTA), rel=1e-9)
    for view, honest in plan.views.items():
        there, here = (s * (honest / plan.federation.shares) ** 0.5 for s in (first, second))
        one = GaussianSum(noise_multiplier=(there**-2 + here**-2) ** -0.5)
        assert epsilon(plan.charged_in_view(view, {}, 0), DELTA) == pytest.approx(
            epsilon([one], DELTA), rel=0.02
        )


def test_each_run_is_seen_by_its_own_federation():
    """An earlier run with fewer honest shares, or whole noise of DP-SGD, is not judged by the new one's."""
    sums, steps = (
        GaussianSum(noise_multiplier=2.0),
        SampledGaussian(noise_multiplier=1.5, sample_rate=0.1, steps=3),
    )
    ran = {"plan": "0" * 64, "min_contributors": 4, "mechanisms": (sums, steps)}
    shared, whole = Ran(**ran, collusion=2, whole=False), Ran(**ran, collusion=2, whole=True)
    assert shared.views == {"released": 4, "curious_site": 3, "collusion": 2, "all_others": 1}
    assert shared.seen("collusion") == whole.seen("collusion") == [sums, steps]
    assert whole.seen("all_others")[1] == steps
    assert shared.seen("all_others")[1].noise_multiplier < steps.noise_multiplier
    assert shared.seen("released")[0].noise_multiplier == pytest.approx(2.0 * 2**0.5)
    with pytest.raises(ValueError, match="collusion"):
        Ran(**ran, collusion=4, whole=False)


def test_sums_are_those_of_all_records_with_noise_whose_variances_add(table, continued):
    plan, schema, state = continued.plan, toy.SCHEMA, continued.state
    assert len(table.run.tables()[0]) < len(continued.run.tables()[0])
    grouping = released_grouping(plan, schema, state)
    assert (grouping.groups == released_grouping(table.plan, schema, table.state).groups).all()
    exact_counts, exact_pairs = 0.0, 0.0
    for frame in batches(continued):
        pooled = Records.of(encode(frame, schema), frame["patient"].to_numpy())
        codes = Layout.of(schema).to_model(grouping.to_groups(pooled.rows, schema))
        exact_counts = exact_counts + histograms(schema).sum(pooled.rows, pooled.weights)
        exact_pairs = exact_pairs + pairs(schema, plan).sum(codes, pooled.weights)
    found = released_sums(plan, schema, state)
    for opened, exact, noise in zip(
        (found.counts, found.moments), (exact_counts, exact_pairs), released_noise(plan, state), strict=True
    ):
        left = (opened - exact) / noise
        assert abs(left.mean()) < 5 / len(left) ** 0.5
        assert left.std() == pytest.approx(1.0, abs=5 / (2 * len(left)) ** 0.5 + 0.01)
    # the second run's noise alone would be seen to be too little
    alone = (found.moments - exact_pairs) / own_noise(plan, 0, state.measured_by)[1]
    assert alone.std() > 1.2
    units = sum(Records.of(encode(f, schema), f["patient"].to_numpy()).units for f in batches(continued))
    assert continued.generator.facts["records_estimated"] == pytest.approx(units, rel=0.1)


def batches(finished):
    """Records trained on in the first and in the second run: a patient in both counts in each."""
    sites = [finished.federation.site_folder(name) for name in finished.plan.federation.names]
    for name in ("records.parquet", "records-2.parquet"):
        frames = [pd.read_parquet(site / name) for site in sites]
        for number, (site, frame) in enumerate(zip(sites, frames, strict=True)):
            subjects, share = frame.patient.astype(str).to_numpy(), finished.plan.release.holdout
            frames[number] = frame[~held_out(subjects, len(frame), share, site_key(site), name)]
        yield pd.concat(frames, ignore_index=True)


def far(generator):
    """Energy distance of generated to real signals, for each class: smooth curves correlate by chance."""
    real = toy_arrays.waves(600, seed=7), bumps(300)
    classes = real[0].values[real[0].labels == 0], real[0].values[real[0].labels == 1], real[1].values
    return {
        kind: distance(generator.sample(300, {"kind": kind}, seed=0).values[:, 0], values[:, 0])
        for kind, values in zip(GROWN.label.categories, classes, strict=True)
    }


def test_a_new_class_is_learnt_and_the_old_ones_stay(waves):
    grown = Finished(wave_config(), bumps(600), GROWN, waves.out.with_name("grown"), waves.before())
    learnt = far(grown.generator)
    assert max(learnt.values()) < 0.8, learnt
    assert grown.generator.prior == pytest.approx([1 / 3] * 3, abs=0.05)
    # control: fitted to the new records' sum alone, the old classes are lost
    plan = grown.plan
    alone = new_generator(ArrayLayout.of(GROWN), plan.model)
    own = ArrayMeasured(plan, array_features(GROWN, plan), grown.state.moments)
    own.fit(alone, 0.0)
    lost = far(ReleasedArrays(GROWN, plan.model, alone, grown.generator.prior, {}))
    assert lost["bump"] < 1.2, lost
    assert max(lost["sine"], lost["ramp"]) > 1.2, lost
    assert own.prior[:2].sum() < 0.1
    # and again, from two runs
    third = prepare(
        wave_config(), toy_arrays.waves(seed=3), GROWN, waves.out.with_name("x.run"), grown.before()
    )
    assert [ran.plan for ran in third.plan.continues.runs] == [waves.plan.hash, plan.hash]
    assert third.plan.privacy.epsilon > plan.privacy.epsilon > waves.plan.privacy.epsilon
    assert {path.name for path in (third.folder / "sites" / "site-1").glob("records*")} == {
        "records.npz",
        "records-2.npz",
        "records-3.npz",
    }


def test_a_new_class_needs_a_record_and_an_old_one_does_not(waves):
    target = waves.out.with_name("none.run")
    with pytest.raises(EmptyClassError, match="bump"):
        prepare(wave_config(), toy_arrays.waves(), GROWN, target, waves.before())
    only = toy_arrays.waves()
    only = only.take(only.labels == 0)
    assert prepare(wave_config(), only, toy_arrays.WAVES, target, waves.before()).plan.continues


def test_a_cap_too_small_stops_before_anything_is_charged_or_leaves(table):
    run = prepare(
        table_config(), toy.records(seed=6), toy.SCHEMA, table.out.with_name("cap.run"), table.before()
    )
    running = LocalFederation(run)
    site = running.vaults[run.plan.federation.names[0]].site
    policy = tomllib.loads((site.folder / "policy.toml").read_text())
    lower = {**policy, "epsilon_cap": table.plan.privacy.epsilon}
    (site.folder / "policy.toml").write_text(tomli_w.dumps(lower))
    with pytest.raises(RefusedError, match="the cap is 3") as refused:
        running.coordinator().run()
    assert refused.value.refusal_code == "privacy-budget"
    for vault in running.vaults.values():
        assert {charge.plan for charge in vault.site.ledger.entries()} == {table.plan.hash}
        assert not list(vault.site.run_folder(run.plan.hash).glob("*contribute*"))


def test_training_goes_on_with_new_records_only(table, continued):
    """Units and classes of the adversarial phase are those of the new records, its moments those of all."""
    everything = measured(continued.plan, toy.SCHEMA, continued.state)
    training = trained_on(continued.plan, toy.SCHEMA, continued.state)
    new = list(batches(continued))[1].patient.nunique()
    assert training.total == pytest.approx(new, rel=0.2)
    assert training.total < 0.6 * everything.total
    assert not np.allclose(training.prior, everything.prior)
    assert trained_on(table.plan, toy.SCHEMA, table.state).total == pytest.approx(
        everything.total - new, rel=0.2
    )
    config = table_config(schedule="every-step", rounds=2, sample_rate=0.1)
    run = prepare(config, toy.records(seed=7), toy.SCHEMA, table.out.with_name("trained.run"), table.before())
    state = LocalFederation(run).coordinator().run()
    assert state.rounds_done == 2
    (ran, here) = released_generator(run.plan, toy.SCHEMA, state).facts[FACT]["runs"]
    assert [m["kind"] for m in ran["mechanisms"]] == [
        "gaussian-sum",
        "gaussian-sum",
        "poisson-sampled-gaussian",
    ]
    assert here["mechanisms"][-1]["steps"] == 2


def test_altered_absent_or_unknown_sums_are_refused(waves, tmp_path):
    def copy(name):
        folder = tmp_path / name
        folder.mkdir()
        for path in waves.out.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        return folder

    altered = copy("altered")
    raw = bytearray((altered / release_files.SUMS).read_bytes())
    raw[-3] ^= 1
    (altered / release_files.SUMS).write_bytes(raw)
    with pytest.raises(StorageError, match="not the file that was released"):
        Earlier.load(altered)
    absent = copy("absent")
    (absent / release_files.SUMS).unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        Earlier.load(absent)
    older = copy("older")
    content = json.loads((older / release_files.DESCRIPTION).read_text())
    known = content.pop(FACT)
    (older / release_files.DESCRIPTION).write_text(json.dumps(content))
    with pytest.raises(StorageError, match="no noisy sums"):
        Earlier.load(older)
    for damage in ({"runs": []}, {"measure_noise": -1.0}, {"sums": "x"}, {"features": 3}):
        (older / release_files.DESCRIPTION).write_text(json.dumps({**content, FACT: {**known, **damage}}))
        with pytest.raises(StorageError, match="damaged"):
            Earlier.load(older)
    # the coordinator looks again: it adds only what the plan names
    run = prepare(
        wave_config(), toy_arrays.waves(seed=2), toy_arrays.WAVES, tmp_path / "c.run", waves.before()
    )
    (run.folder / "coordinator" / "earlier" / release_files.SUMS).write_bytes(raw)
    coordinator = LocalFederation(run).coordinator()
    coordinator._checkpoint.moments = waves.state.moments
    with pytest.raises(StorageError, match="not the file that was released"):
        coordinator.measured  # noqa: B018
    with pytest.raises(StorageError, match="no run folder"):
        Before.open(waves.out, tmp_path / "nowhere")


def test_what_cannot_be_continued_is_refused_and_nothing_is_removed(table, waves, tmp_path):
    target = tmp_path / "kept"
    target.mkdir()

    def refused(pattern, config, data, schema, before):
        with pytest.raises(ConfigError, match=pattern):
            prepare(config, data, schema, target, before)
        assert target.exists()

    frame, arrays = toy.records(), toy_arrays.waves()
    columns = list(toy.SCHEMA.columns)
    columns[4] = columns[4].model_copy(update={"categories": ("none", "mild", "severe", "fatal")})
    wider = toy.SCHEMA.model_copy(update={"columns": tuple(columns)})
    refused("cannot grow", table_config(), frame, wider, table.before())
    fewer = toy.SCHEMA.model_copy(update={"columns": toy.SCHEMA.columns[1:]})
    refused("schema is not that", table_config(), frame, fewer, table.before())
    turned = GROWN.label.model_copy(update={"categories": ("ramp", "sine", "bump")})
    other = GROWN.model_copy(update={"label": turned})
    refused("schema is not that", wave_config(), arrays, other, waves.before())
    refused("schema is not that", wave_config(), arrays, toy_arrays.WAVES, table.before())
    more = wave_config(sites=Sites(count=5), federation=Federation(threshold=3))
    refused("other sites", more, arrays, toy_arrays.WAVES, waves.before())
    finer = wave_config(features=Features(coefficients=9, plain=40, windowed=20, fit_batch=16))
    refused("feature map", finer, arrays, toy_arrays.WAVES, waves.before())


def test_a_run_of_more_noise_measures_by_the_map_of_the_sums_it_adds_to(table):
    """By itself it would weigh conditions more, and no change of its configuration could add its sums."""
    privacy = table_config().privacy.model_copy(update={"epsilon": 0.5})
    config, earlier = table_config().model_copy(update={"privacy": privacy}), table.before().earlier
    alone = make_plan(config, toy.SCHEMA, stand_in(config), "alone")
    with pytest.raises(ConfigError, match="feature map"):
        earlier.check_plan(alone)  # negative control
    plan = make_plan(config, toy.SCHEMA, stand_in(config), "continues", earlier)
    earlier.check_plan(plan)
    assert alone.measure.condition_weight > plan.measure.condition_weight == earlier.condition_weight == 1


def test_simulate_continues_resumes_and_reports_both(table, waves, tmp_path):
    config, out = table_config(), tmp_path / "out"
    keep = Checkpoint.save

    def die(state):
        keep(state)
        if state.moments is not None:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", die)
        with pytest.raises(KeyboardInterrupt):
            simulate(config, toy.records(seed=5), toy.SCHEMA, out, False, earlier=table.out)
    report = simulate(config, toy.records(seed=5), toy.SCHEMA, out, True, earlier=table.out).report
    assert report["continues"] == table.plan.hash
    assert report["epsilon"] == load_release(out).facts["epsilon"] == report["epsilon_target"]
    assert report["epsilon_here"] <= config.privacy.epsilon < report["epsilon"]
    assert report["epsilon_views"]["collusion"] == pytest.approx(report["epsilon"], rel=1e-3)
    assert report["records"]["training"] > len(table.run.tables()[0])
    Before.open(out, folder_of_simulation(out))  # a release to continue once more
    with pytest.raises(ConfigError, match="stays as it is"):
        simulate(config, toy.records(), toy.SCHEMA, table.out, False, earlier=table.out)
    with pytest.raises(ConfigError, match="does not continue"):
        simulate(config, toy.records(), toy.SCHEMA, out, True, earlier=waves.out)


def test_run_continues_a_release_and_refuses_that_of_a_plan(waves, tmp_path):
    of_a_plan = ["run", str(tmp_path / "plan.json"), "--continue", str(waves.out)]
    refused = CliRunner().invoke(cli.app, of_a_plan).exception
    assert isinstance(refused, ConfigError)
    assert "are for simulations" in refused.message
    settings = wave_config()
    content = json.loads(settings.model_dump_json(by_alias=True, exclude_none=True))
    (tmp_path / "more.toml").write_text(tomli_w.dumps(content))
    (tmp_path / "toy.toml").write_text(toy_arrays.WAVES.to_toml())
    write_records(toy_arrays.waves(seed=4), toy_arrays.WAVES, tmp_path / "toy.npz")
    asked = [
        "run",
        tmp_path / "more.toml",
        "--continue",
        waves.out,
        "--out",
        tmp_path / "more",
        "--prepare-only",
    ]
    done = CliRunner().invoke(cli.app, [str(word) for word in asked])
    assert done.exit_code == 0, done.output
    plan = Plan.from_json((tmp_path / "more.run" / "plan.json").read_bytes())
    assert plan.continues == Earlier.load(waves.out).continues
    assert plan.privacy.epsilon == promised(settings, toy_arrays.WAVES, waves.out) > settings.privacy.epsilon
    assert promised(settings, toy_arrays.WAVES, None) == settings.privacy.epsilon


def test_what_was_spent_has_no_default():
    for model in (Ran, Continues):
        assert all(field.is_required() for field in model.model_fields.values())
