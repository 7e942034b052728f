"""The ledger as a steward reads it says the same as the ledger."""

import pytest
import tomli_w

from client import spending as module
from client.site import Policy, Site
from client.spending import spending
from common.privacy.mechanism import GaussianSum, SampledGaussian

UNIT = "add/remove one record"
SUM = GaussianSum(noise_multiplier=8.0)
STEP = SampledGaussian(noise_multiplier=2.0, sample_rate=0.01, steps=1)
ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
def site(tmp_path):
    policy = Policy(records="records.csv", dataset="0" * 32, epsilon_cap=5.0, delta=1e-5)
    (tmp_path / "policy.toml").write_text(tomli_w.dumps(policy.model_dump()))
    site = Site(tmp_path)
    site.ledger.create()
    return site


def charge(site, mechanism, plan, step, answered=True):
    cap = site.policy.cap
    site.ledger.charge(mechanism, plan=plan, step=step, cap=cap, unit=UNIT, sensitivity=1.0)
    if answered:
        site.ledger.answered(step.encode(), plan=plan, step=step)


def test_an_empty_ledger_has_nothing(site):
    found = spending(site)
    assert (found.spent, found.left, found.unit, found.points, found.groups) == (0, 5.0, None, [], [])


def test_charges_are_put_together_by_plan_and_kind_of_step(site):
    for plan in (ONE, TWO):
        charge(site, SUM, plan, "measure")
    for number in range(1, 41):  # two runs at once
        charge(site, STEP, ONE, f"train-{number:04d}")
        charge(site, STEP, TWO, f"train-{number:04d}", answered=number < 40)
    charge(site, SampledGaussian(noise_multiplier=1.5, sample_rate=0.01, steps=1), ONE, "train-0001-again-2")
    site.ledger.ended("failed", plan=TWO, step="train-0040", reason="data")
    site.ledger.ended("abandoned", plan=ONE, step="train-0001")
    site.ledger.ended("finished", plan=ONE)
    found = spending(site)
    assert [(g.plan, g.step, g.charges, g.answered) for g in found.groups] == [
        (ONE, "measure", 1, 1),
        (TWO, "measure", 1, 1),
        (ONE, "train", 41, 41),
        (TWO, "train", 40, 39),
    ]
    assert (found.endings, found.unit, found.charges) == ({ONE: "finished"}, UNIT, 83)
    assert found.groups[3].failed == {"data": 1}
    assert found.groups[2].abandoned == 1
    assert found.groups[0].noise("record") == "a sum over all records, noise 8 times what one can change it"
    assert found.groups[2].noise("record") == (
        "DP-SGD: each record drawn with probability 0.01, noise 1.5 to 2 times the clip"
    )
    assert found.spent == site.ledger.spent(1e-5)
    assert [number for _, number, _ in found.points][-1] == 83
    epsilons = [value for _, _, value in found.points]
    assert epsilons == sorted(epsilons)
    assert found.groups[2].epsilon == found.spent
    assert found.groups[0].epsilon < found.groups[1].epsilon < found.groups[3].epsilon


@pytest.mark.parametrize("count", [0, 1, 31, 33, 1000, 100_000])
def test_points_are_few_and_stay_where_they_are(count):
    points = module._spread(count)
    assert len(points) <= module.MOST_POINTS + 2
    assert not count or {1, count} <= points
    more = module._spread(count + count // 1000 + 1)
    assert len(points - more) <= max(2, len(points) // 2 + 1)
