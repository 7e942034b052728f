"""Plans that somebody else wrote: what a site refuses before anything is spent, or made in memory."""

import tracemalloc

import pytest

from client.site import approve
from common.continuation import Continues, Ran
from common.contributions import layout_of
from common.errors import BudgetExceededError, ConfigError, HeadroomError, PrivacyTargetError
from common.limits import check_plan
from common.models.pair import Pair
from common.models.sizes import generator_size, judge_size
from common.phases import Views
from common.plan import ENROL_STEP, Plan
from common.planning import make_plan, stand_in
from common.privacy.accounting import epsilon
from common.privacy.mechanism import GaussianSum, SampledGaussian
from common.protocol import frames
from common.protocol.messages import Enrol, Refused
from tests import toy, toy_arrays
from tests.federation import LocalFederation

SCHEMAS = {"table": toy.SCHEMA, "image": toy_arrays.DIGITS, "signal": toy_arrays.WAVES}
VIEWS = Views(count=2, flip=True, rotate=0.0, shift=1)


def plan_of(kind, schedule="every-step"):
    config = toy.config() if kind == "table" else toy_arrays.config()
    training = config.training.model_copy(update={"schedule": schedule, "rounds": 2})
    settings = config.model_copy(update={"training": training})
    return make_plan(settings, SCHEMAS[kind], stand_in(settings), "limits")


PLANS = {kind: plan_of(kind) for kind in SCHEMAS}


def changed(plan, part, **changes):
    """The plan as JSON would carry it, with a part of it changed."""
    return Plan.from_json(
        plan.model_copy(update={part: getattr(plan, part).model_copy(update=changes)}).to_json()
    )


def continuing(plan, count_noise):
    ran = Ran(plan="0" * 64, min_contributors=4, collusion=1, whole=False, mechanisms=tuple(plan.mechanisms))
    earlier = Continues(sums="0" * 64, count_noise=count_noise, measure_noise=2.0, runs=(ran,))
    return plan.model_copy(update={"continues": earlier})


@pytest.mark.parametrize("schedule", ["every-step", "local"])
@pytest.mark.parametrize("kind", SCHEMAS)
def test_an_honest_plan_is_taken(kind, schedule):
    check_plan(plan_of(kind, schedule), SCHEMAS[kind])


@pytest.mark.parametrize("kind", SCHEMAS)
def test_sizes_are_those_of_the_networks(kind):
    plan, layout = PLANS[kind], layout_of(SCHEMAS[kind])
    pair = Pair.new(layout, plan.model, 0)
    biases = sum(p.numel() for p in pair.generator.parameters() if p.ndim == 1)
    points = plan.model.latents * plan.model.latent if kind == "table" else biases
    assert generator_size(layout, plan.model) == pair.counts[0] - biases + points
    assert judge_size(layout, plan.model) >= pair.counts[1] * 0.9


@pytest.mark.parametrize("other", SCHEMAS)
@pytest.mark.parametrize("part", ["model", "measure", "count"])
@pytest.mark.parametrize("kind", SCHEMAS)
def test_parts_of_another_kind_are_refused(kind, part, other):
    plan = PLANS[kind].model_copy(update={part: getattr(PLANS[other], part)})
    if "table" not in (kind, other) or kind == other:
        check_plan(plan, SCHEMAS[kind])
        return
    with pytest.raises(ConfigError, match="must all be for"):
        check_plan(Plan.from_json(plan.to_json()), SCHEMAS[kind])


@pytest.mark.parametrize(("kind", "noise"), [("table", None), ("image", 2.0), ("signal", 2.0)])
def test_a_plan_that_continues_sums_of_another_kind_is_refused(kind, noise):
    check_plan(continuing(PLANS[kind], None if noise else 2.0), SCHEMAS[kind])
    with pytest.raises(ConfigError, match="must all be for"):
        check_plan(continuing(PLANS[kind], noise), SCHEMAS[kind])


HOSTILE = {
    "views of signals": ("signal", "measure", {"views": VIEWS}, "views are for images"),
    "a split that is no condition": ("table", "measure", {"split": ("age",)}, "split"),
    "a split twice": ("table", "measure", {"split": ("sex", "sex")}, "split"),
    "codes that no family uses": ("image", "model", {"categories": 3}, "codes"),
    "frequencies of signals": ("signal", "measure", {"windowed": 65536, "plain": 65536}, "at once"),
    "waves": ("image", "measure", {"windowed": 65536, "plain": 65536}, "at once"),
    "dense layers": ("image", "model", {"generator_hidden": (65536, 65536)}, "model: "),
    "maps": (
        "image",
        "model",
        {"generator": "convolutional", "generator_width": 4096, "latent": 4096},
        "model: ",
    ),
    "layers of a table": ("table", "model", {"discriminator_hidden": (65536, 65536)}, "model: "),
    "points of a table": ("table", "model", {"latents": 65536, "latent": 4096}, "model: "),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_plan_is_refused_and_takes_no_memory(name):
    kind, part, changes, match = HOSTILE[name]
    plan = changed(PLANS[kind], part, **changes)
    tracemalloc.start()
    try:
        with pytest.raises((ConfigError, HeadroomError), match=match):
            check_plan(plan, SCHEMAS[kind])
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()


def test_the_largest_image_with_all_coefficients_is_refused():
    schema = toy_arrays.DIGITS.model_copy(update={"size": 128, "channels": 3})
    plan = changed(PLANS["image"], "measure", coefficients=128)
    with pytest.raises(ConfigError, match="coefficients"):
        check_plan(plan, schema)
    check_plan(PLANS["image"], schema)


def test_a_site_says_so_at_enrolment_before_anything_is_spent(tmp_path):
    """Approved by mistake: the vault checks itself."""
    running = LocalFederation(
        toy_arrays.run_folder(tmp_path / "run", toy_arrays.waves(), toy_arrays.WAVES, seed=1)
    )
    hostile = changed(running.plan, "measure", views=VIEWS)
    vault = running.vaults[running.plan.federation.names[0]]
    approve(vault.site.folder, hostile)
    body = Enrol(plan=hostile.to_json(), table=running.run.schema.model_dump_json().encode()).to_bytes()
    name = hostile.federation.coordinator.name
    sent = frames.sign(running.identity, Enrol.kind, hostile.hash, ENROL_STEP, name, body)
    answer = frames.read(vault.handle(sent.to_bytes()), 1 << 20)
    assert answer.header.kind == Refused.kind
    assert Refused.from_bytes(answer.body).code == "config"
    assert not list(vault.site.ledger.entries())


@pytest.mark.parametrize("noise", [0.049, 1e-300])
@pytest.mark.parametrize("part", ["measure", "train"])
def test_noise_that_protects_nobody_is_no_plan(part, noise):
    with pytest.raises(ConfigError):
        changed(PLANS["image"], part, noise_multiplier=noise)


@pytest.mark.parametrize(
    "mechanism",
    [
        GaussianSum(noise_multiplier=1e-300),
        GaussianSum(noise_multiplier=1e-3),
        SampledGaussian(noise_multiplier=1.0, sample_rate=0.01, steps=1 << 40),
    ],
)
def test_a_loss_that_fills_memory_is_not_computed(mechanism):
    with pytest.raises(PrivacyTargetError):
        epsilon([mechanism], 1e-5)


@pytest.mark.parametrize(
    "mechanisms",
    [
        [GaussianSum(noise_multiplier=1e300)],
        [GaussianSum(noise_multiplier=1e300)] * 2,
        [GaussianSum(noise_multiplier=1e9)],
        [SampledGaussian(noise_multiplier=1e300, sample_rate=0.01, steps=3)],
    ],
)
def test_a_loss_too_small_to_see_takes_no_memory(mechanisms):
    tracemalloc.start()
    try:
        assert 0 <= epsilon(mechanisms, 1e-5) < 1e-5
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_what_a_plan_claims_to_continue_does_not_lower_what_a_site_is_charged(tmp_path):
    """The ledger goes by its own lines; a coordinator's account of earlier runs is for the report."""
    running = LocalFederation(
        toy_arrays.run_folder(tmp_path / "run", toy_arrays.waves(), toy_arrays.WAVES, seed=2)
    )
    site = running.vaults[running.plan.federation.names[0]].site
    free = running.plan.model_copy(update={"continues": None})
    claimed = continuing(running.plan, None)
    assert claimed.mechanisms == free.mechanisms
    earlier = GaussianSum(noise_multiplier=0.5)
    site.ledger.charge(
        earlier, plan="0" * 64, step="measure", cap=site.policy.cap.__class__(epsilon=1e6, delta=1e-5),
        unit=free.privacy.unit, sensitivity=1.0,
    )  # fmt: skip
    for plan in (free, claimed):
        with pytest.raises(BudgetExceededError):
            site.ledger.check(plan.mechanisms, site.policy.cap, plan.hash, plan.privacy.unit)
