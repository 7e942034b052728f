"""Shares and associations: exact from records, unbiased from noisy sums, and told apart from noise."""

import numpy as np
import pytest

from common.earlier import sum_noise
from common.evidence.groups import groups_of, plain
from common.evidence.reference import TwoWay, coarse, distance
from common.modalities.grouping import Grouping
from common.modalities.tabular import encode
from common.planning import make_plan, stand_in
from server.released_shares import two_way
from tests import toy
from tests.evidence import made

SPLITS = pytest.mark.parametrize("split", [(), ("diagnosis",), ("diagnosis", "sex")], ids=len)


def planned(split):
    plan = make_plan(toy.config(), toy.SCHEMA, stand_in(toy.config()), run="shares")
    return plan.model_copy(update={"measure": plan.measure.model_copy(update={"split": split})})


def records(count=3000, seed=0):
    return toy.records(count, seed)[toy.SCHEMA.names]


def exact(frame):
    return TwoWay.of_codes(encode(frame, toy.SCHEMA), toy.SCHEMA.groups)


@SPLITS
def test_sums_with_hardly_any_noise_give_the_shares_of_the_records(split):
    plan, frame = planned(split), records()
    quiet = plan.model_copy(
        update={
            "count": plan.count.model_copy(update={"noise_multiplier": 0.05}),
            "measure": plan.measure.model_copy(update={"noise_multiplier": 0.05}),
        }
    )
    sums = made.sums(quiet, toy.SCHEMA, frame, noise=1e-6)
    found, truth = two_way(sums, quiet, toy.SCHEMA, sum_noise(quiet)), exact(frame)
    assert np.allclose(found.shares, truth.shares, atol=2e-4)
    assert np.allclose(found.association(), truth.association(), atol=0.02)
    assert distance(found, truth).max() < 1e-3
    others = exact(records(seed=9).assign(smoker="no"))
    assert distance(others, truth)[1] > 0.3  # a column that differs is seen


@SPLITS
def test_the_variances_are_those_of_the_noise(split):
    plan, frame = planned(split), records()
    truth, scores = exact(frame).shares, []
    for seed in range(5):
        sums = made.sums(plan, toy.SCHEMA, frame, seed=seed)
        found = two_way(sums, plan, toy.SCHEMA, sum_noise(plan))
        known = found.variances > 0
        scores.append((found.shares - truth)[known] / np.sqrt(found.variances[known]))
    assert 0.5 < np.concatenate(scores).std() < 1.4
    assert np.abs(np.concatenate(scores)).max() < 7


def test_association_is_zero_for_chance_and_one_for_copies():
    random = np.random.default_rng(1)
    one = random.integers(0, 3, 5000)
    codes = np.stack([one, one, random.integers(0, 4, 5000)], axis=1)
    found = TwoWay.of_codes(codes, [3, 3, 4]).association()
    assert found[0, 1] == pytest.approx(1.0, abs=1e-3)
    assert found[0, 2] < 0.05
    assert (found == found.T).all()


def test_noise_is_not_taken_for_association():
    random, spread = np.random.default_rng(2), 0.01
    single = np.full(8, 0.25)
    shares = np.outer(single, single)
    shares[:4, :4] = shares[4:, 4:] = np.diag(single[:4])
    noise = np.triu(random.normal(0, spread, (200, 8, 8)), 4)
    noise[:, :4, :4] = noise[:, 4:, 4:] = 0
    noise = noise + noise.transpose(0, 2, 1)
    flat = np.full((8, 8), spread**2)
    corrected = [TwoWay((4, 4), shares + n, flat).association()[0, 1] for n in noise]
    naive = [TwoWay((4, 4), shares + n, np.zeros((8, 8))).association()[0, 1] for n in noise]
    assert np.mean(corrected) < 0.6 * np.mean(naive)
    assert np.mean(np.array(corrected) == 0) > 0.3


def test_groups_for_associations_are_common_and_neighbours_stay_so():
    shares = np.array([0.5, 0.3, 0.01, 0.01, 0.1, 0.08, 0.005, 0.6, 0.39, 0.005])
    runs, rest = coarse(shares, (7, 3), [True, False])
    assert (np.diff(runs) >= 0).all()
    assert np.bincount(runs, shares[:7]).min() >= 0.05
    assert rest[0] != rest[1] == rest[2]


def test_merging_groups_keeps_every_share():
    truth = exact(records())
    into = coarse(truth.single, truth.sizes, [True] * len(truth.sizes))
    merged = truth.merged(into)
    assert np.allclose(np.add.reduceat(merged.single, merged.starts), 1)
    direct = TwoWay.of_codes(
        np.stack(
            [part[code] for part, code in zip(into, encode(records(), toy.SCHEMA).T, strict=True)], axis=1
        ),
        [int(part.max()) + 1 for part in into],
    )
    assert np.allclose(merged.shares, direct.shares)


def test_labels_say_which_values_a_group_holds():
    age, smoker, cost, *_ = groups_of(toy.SCHEMA, Grouping.of_itself(toy.SCHEMA))
    dash = "\N{EN DASH}"
    assert age.labels == (f"0{dash}19", f"20{dash}39", f"40{dash}59", f"60{dash}79", f"80{dash}100")
    assert smoker.labels == ("no", "yes", "missing")
    assert cost.labels[0] == "0"
    assert cost.labels[-1] == f"10,000{dash}50,000"
    together = Grouping.of_itself(toy.SCHEMA)
    together.groups[5:8] = [0, 0, 1]
    assert groups_of(toy.SCHEMA, together)[1].labels == ("2 others", "missing")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x1b[0m", "a b [0m"),
        ("right\u202eto left", "right to left"),
        ("\u200b", "(blank)"),
        ("x" * 99, "x" * 39 + "…"),
        ("Größe κ 大きさ", "Größe κ 大きさ"),
    ],
)
def test_names_are_one_line_that_reads_in_one_direction(text, shown):
    assert plain(text) == shown
