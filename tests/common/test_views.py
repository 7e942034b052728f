"""Epsilon in the eyes of four observers, the target met for the charged one, and targets that cannot be."""

import pytest
from pydantic import ValidationError

from common.columns import CategoryColumn, NumberColumn
from common.config import Federation, Training
from common.errors import ConfigError, HeadroomError, PrivacyTargetError
from common.phases import EveryStep
from common.plan import Party, Plan
from common.planning import make_plan
from common.privacy.accounting import epsilon
from common.schema import TableSchema
from tests import toy

DELTA = 1e-5


def plan(tmp_path, schedule="moments", rounds=0, **changes) -> Plan:
    training = Training(
        records_per_site=100, schedule=schedule, rounds=rounds, sample_rate=0.1, local_steps=3
    )
    return toy.run_folder(tmp_path / schedule, training=training, **changes).plan


def views(made: Plan) -> dict[str, float]:
    return {name: epsilon(made.seen(made.mechanisms, h), DELTA) for name, h in made.views.items()}


@pytest.mark.parametrize(("schedule", "rounds"), [("moments", 0), ("every-step", 5)])
def test_shared_noise_protects_each_observer_less_the_more_it_knows(tmp_path, schedule, rounds):
    made = plan(
        tmp_path, schedule, rounds, federation=Federation(threshold=3, collusion=2, min_contributors=4)
    )
    seen = views(made)
    assert made.federation.shares == 2
    assert seen["released"] < seen["curious_site"] < seen["collusion"] < seen["all_others"]
    assert seen["collusion"] == pytest.approx(epsilon(made.mechanisms, DELTA), rel=1e-6)
    assert 0.97 * 3 < seen["collusion"] <= 3.0


def test_schedule_local_looks_the_same_to_all_others_as_to_colluders(tmp_path):
    made = plan(tmp_path, "local", 2)
    seen = views(made)
    assert made.federation.shares == 1
    assert seen["collusion"] == seen["all_others"] <= 3.0
    assert made.mechanisms[-1] in made.seen(made.mechanisms, 3)  # DP-SGD's noise is whole at every site


def test_a_missing_share_would_be_seen_in_the_accounting(tmp_path):
    """Negative control: with one honest share fewer than planned, the target is exceeded."""
    made = plan(tmp_path, federation=Federation(threshold=3, collusion=1, min_contributors=4))
    assert epsilon(made.seen(made.mechanisms, made.federation.shares - 1), DELTA) > 3.3


@pytest.mark.parametrize("collusion", [3, 4])
def test_colluders_who_could_open_a_contribution_are_no_assumption(tmp_path, collusion):
    made = plan(tmp_path).federation
    roster = [Party(name=f"s{n}", identity=f"{n:064x}") for n in range(6)]
    changed = made.model_dump() | {"sites": roster, "key_holders": 5, "min_contributors": 6}
    assert type(made).model_validate(changed | {"collusion": 2}).shares == 4
    with pytest.raises(ValidationError, match="collusion"):
        type(made).model_validate(changed | {"collusion": collusion})


def test_the_unit_follows_the_schema(tmp_path):
    assert plan(tmp_path).privacy.unit == "add/remove one subject"
    without = toy.SCHEMA.model_copy(update={"subject": None})
    assert without.unit == "add/remove one record"


def test_histograms_and_pairs_share_the_budget_as_asked(tmp_path):
    made = plan(tmp_path)
    precision = [made.count.noise_multiplier**-2, made.measure.noise_multiplier**-2]
    assert precision[0] / sum(precision) == pytest.approx(0.35, rel=1e-6)


def test_every_step_is_charged_step_by_step(tmp_path):
    made = plan(tmp_path, "every-step", 5)
    assert isinstance(made.train, EveryStep)
    assert list(made.steps) == ["count", "measure", *[f"train-000{n}" for n in range(1, 6)]]
    assert {m.steps for m in made.mechanisms[2:]} == {1}


def test_a_target_that_so_few_records_cannot_reach_names_one_that_they_can(tmp_path):
    federation = plan(tmp_path).federation
    training = Training(records_per_site=10, most_records_per_site=10)
    privacy = toy.config().privacy.model_copy(update={"epsilon": 0.02})
    asked = toy.config(training=training, privacy=privacy)
    with pytest.raises(PrivacyTargetError, match=r"about 40 subjects.*smallest that can is about") as refusal:
        make_plan(asked, toy.SCHEMA, federation, "run")
    least = float(refusal.value.message.rsplit(" ", 1)[1])
    reachable = asked.model_copy(update={"privacy": privacy.model_copy(update={"epsilon": 1.15 * least})})
    assert make_plan(reachable, toy.SCHEMA, federation, "run").privacy.epsilon == pytest.approx(1.15 * least)


def test_a_split_that_leaves_no_pair_is_refused(tmp_path):
    federation = plan(tmp_path).federation
    narrow = TableSchema(
        name="narrow",
        columns=(
            NumberColumn(name="age", bounds=(0, 9), decimals=0, cuts=(5,)),
            CategoryColumn(name="sex", categories=("f", "m"), condition=True),
        ),
    )
    training = Training(records_per_site=500)
    assert make_plan(toy.config(training=training), narrow, federation, "run").measure.split == ()
    refusals = {
        ("sex",): "at least two columns must remain",
        ("age",): "'age' is no condition",
        ("sex", "sex"): "stands twice",
    }
    for split, why in refusals.items():
        forced = toy.config(training=training.model_copy(update={"split": split}))
        with pytest.raises(ConfigError, match=why):
            make_plan(forced, narrow, federation, "run")


def test_a_range_too_wide_for_the_noise_is_refused(tmp_path):
    federation = plan(tmp_path).federation
    training = Training(records_per_site=100, most_records_per_site=2_000_000_000)
    with pytest.raises(HeadroomError, match="levels"):
        make_plan(toy.config(training=training), toy.SCHEMA, federation, "run")


@pytest.mark.parametrize(("schedule", "rounds"), [("moments", 3), ("every-step", 0)])
def test_schedules_and_rounds_must_agree(schedule, rounds):
    changed = toy.config().model_dump(by_alias=True)
    changed["training"] |= {"schedule": schedule, "rounds": rounds}
    with pytest.raises(ValidationError, match="rounds"):
        type(toy.config()).model_validate(changed)


def test_conditions_with_too_many_combinations_are_refused_before_anything_is_spent(tmp_path):
    federation = plan(tmp_path).federation
    levels = tuple(f"c{i}" for i in range(20))
    conditions = [CategoryColumn(name=f"k{n}", categories=levels, condition=True) for n in range(4)]
    wide = TableSchema(
        name="wide",
        columns=(NumberColumn(name="age", bounds=(0, 9), decimals=0, cuts=(5,)), *conditions),
    )
    with pytest.raises(ConfigError, match="160000 combinations"):
        make_plan(toy.config(training=Training(records_per_site=5000)), wide, federation, "run")


def test_an_impossible_plan_destroys_no_earlier_run(tmp_path):
    toy.run_folder(tmp_path / "run")
    before = (tmp_path / "run" / "plan.json").read_bytes()
    wrong = Federation(threshold=3, collusion=4, min_contributors=4)
    with pytest.raises(ConfigError, match="collusion 4"):
        toy.run_folder(tmp_path / "run", federation=wrong)
    assert (tmp_path / "run" / "plan.json").read_bytes() == before


def test_a_bin_needs_a_range():
    with pytest.raises(ValidationError, match="more than it has cells"):
        NumberColumn(name="x", bounds=(5, 5), decimals=0, bins=2)
