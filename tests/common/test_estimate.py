"""``fedcgan plan estimate``: what it says is what a run then does; what cannot work is refused."""

import json
from dataclasses import replace

import pytest

from common.bench.estimate import estimate
from common.bench.estimate_table import rows
from common.bench.stand_in import plan_of
from common.config import Federation, Sites, Training
from common.contributions import encoding
from common.errors import ConfigError, HeadroomError
from common.plan import MEASURE_STEP
from common.planning import local_field_bits, make_plan, stand_in
from common.privacy.integer_noise import FEWEST_STEPS
from tests import toy
from tests.federation import LocalFederation
from tests.typed import typed


def planned(**changes):
    config = toy.config(**changes)
    return make_plan(config, toy.SCHEMA, stand_in(config), run="estimate")


@pytest.fixture(scope="module")
def foretold():
    return estimate(planned(), toy.SCHEMA)


def test_bytes_are_those_of_a_real_run(foretold, tmp_path):
    run = toy.run_folder(tmp_path / "run")
    real = LocalFederation(run)
    state = real.coordinator().run()
    busiest = max(count["up"] for count in state.traffic.values())
    assert busiest == pytest.approx(foretold["bytes"]["site_up"], rel=0.05)
    most = max(count["down"] for count in state.traffic.values())
    assert most == pytest.approx(foretold["bytes"]["site_down"], rel=0.05)
    assert state.contribution_bytes == pytest.approx(
        4 * sum(entry["times"] * entry["upload_bytes"] for entry in foretold["sums"].values()), rel=0.01
    )


def test_it_says_what_people_ask(foretold):
    assert foretold["epsilon"] == 3.0
    assert foretold["headroom"]["hiding_bits"] >= foretold["headroom"]["hiding_bits_needed"] == 40
    assert foretold["headroom"]["modulus_bits"] <= foretold["headroom"]["modulus_bits_allowed"]
    assert all(value > 0 for value in foretold["seconds"].values())
    assert foretold["memory_bytes"]["coordinator"] > foretold["memory_bytes"]["site"] > 50e6
    names = [row.name for row in rows(foretold)]
    assert {"a site sends", "a site computes", "memory", "headroom", "security"} <= set(names)


def test_more_sites_get_wider_fields_and_rounding_never_shows():
    for sites in (3, 10, 100, 262, 1024):
        bits = local_field_bits(sites)
        assert ((1 << bits) - 2) // sites >= 1000
    assert local_field_bits(6) == 14
    assert local_field_bits(200) == 18
    assert local_field_bits(1024) == 28
    with pytest.raises(HeadroomError) as refused:
        local_field_bits(10**6)
    assert "fewer sites" in refused.value.hint


def test_shared_noise_is_never_coarser_than_its_grid_and_fields_are_no_wider_than_it_needs():
    widths = []
    for sites, records in ((3, 50), (10, 1000), (100, 1000), (262, 1000)):
        training = Training(records_per_site=records, fit_steps=1)
        holders = {"threshold": min(sites, 10) // 2 + 1, "key_holders": min(sites, 10)}
        plan = planned(sites=Sites(count=sites), federation=Federation(**holders), training=training)
        noisy = encoding(MEASURE_STEP, toy.SCHEMA, plan)
        assert noisy.grid.noise * noisy.grid.steps >= FEWEST_STEPS
        assert sites * noisy.packing.max_value < 1 << plan.measure.field_bits
        narrower = {28: 18, 18: 14}.get(bits := plan.measure.field_bits)
        if narrower:
            with pytest.raises(HeadroomError, match="levels"):
                _ = replace(noisy, field_bits=narrower).grid
        widths.append(bits)
    assert widths == sorted(widths)
    assert len(set(widths)) > 1


def test_impossible_plans_are_refused():
    committee = Federation(threshold=9, key_holders=16, min_contributors=3)
    with pytest.raises(HeadroomError, match="cannot open sums of 1000 sites"):
        planned(sites=Sites(count=1000), federation=committee)
    training = Training(records_per_site=10**8, rounds=0)
    with pytest.raises(HeadroomError, match="levels"):
        planned(sites=Sites(count=600), federation=Federation(threshold=4, key_holders=7), training=training)


def test_a_run_folder_and_a_configuration_are_read(tmp_path):
    run = toy.run_folder(tmp_path / "run")
    assert plan_of(run.folder / "plan.json")[0] == run.plan
    (run.folder / "schema.toml").write_text(toy.SCHEMA.model_copy(update={"name": "other"}).to_toml())
    with pytest.raises(ConfigError, match="not the schema of the plan"):
        plan_of(run.folder / "plan.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        plan_of(tmp_path / "none.toml")


def test_a_table_of_two_small_columns_can_be_planned_and_fitted(tmp_path):
    """Fewer codes than the fit's start has directions."""
    small = toy.SCHEMA.model_copy(update={"columns": toy.SCHEMA.columns[3:5]})
    config = toy.config(evaluation=None)
    assert (
        estimate(make_plan(config, small, stand_in(config), run="small"), small)["seconds"]["one_process"] > 0
    )


def test_the_command_prints_one_envelope(tmp_path):
    (tmp_path / "toy.toml").write_text(toy.SCHEMA.to_toml())
    (tmp_path / "study.toml").write_text(
        '[data]\ntable = "none.csv"\nschema = "toy.toml"\n[sites]\ncount = 4\n[federation]\nthreshold = 3\n'
        "[privacy]\nepsilon = 3.0\ndelta = 1e-5\n[training]\nrecords_per_site = 100\n"
        'schedule = "local"\nrounds = 1\n'
        "[model]\nlatent = 4\ngenerator_hidden = [8]\ndiscriminator_hidden = [8]\n"
    )
    done = typed("plan", "estimate", tmp_path / "study.toml", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["sites"] == 4
