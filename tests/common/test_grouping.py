"""Bins and categories from noisy histograms: never more groups than the schema has room for, nothing lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.columns import CategoryColumn, NumberColumn
from common.errors import MalformedMessageError
from common.modalities.grouping import Grouping
from common.sampler.drawing import evenly
from common.schema import TableSchema

SCHEMA = TableSchema(
    name="open",
    columns=(
        NumberColumn(name="age", bounds=(0, 100), decimals=0, bins=8),
        NumberColumn(
            name="cost", bounds=(0, 50_000), decimals=2, bins=5, atoms=(0.0,), scale="log", missing=True
        ),
        NumberColumn(name="visits", bounds=(0, 9), decimals=0, cuts=(1, 2, 5)),
        CategoryColumn(name="code", categories=tuple(f"c{i}" for i in range(40)), keep=6, missing=True),
        CategoryColumn(name="grade", categories=("a", "b", "c", "d"), ordered=True),
        CategoryColumn(name="sex", categories=("f", "m"), condition=True),
    ),
)


def made(counts: list[np.ndarray], noise: float = 1.0) -> Grouping:
    return Grouping.from_counts(counts, np.full(len(counts), noise), noise, SCHEMA)


def skewed(seed: int, scale: float = 1000.0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.exponential(scale, size) ** 2 / scale for size in SCHEMA.sizes]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 100.0]), st.sampled_from([1e-9, 1.0, 50.0, 1e6]))
def test_any_histogram_gives_a_grouping_that_fits_the_schema(seed, scale, noise):
    random = np.random.default_rng(seed)
    counts = [random.normal(scale, scale + 1, size) for size in SCHEMA.sizes]  # below zero, too
    grouping = made(counts, noise)
    assert Grouping.from_wire(grouping.groups, SCHEMA).groups is grouping.groups
    owner = np.repeat(np.cumsum([0, *SCHEMA.groups[:-1]]), SCHEMA.sizes) + grouping.groups
    assert np.bincount(owner, grouping.shares)[np.unique(owner)] == pytest.approx(1.0)
    codes = np.stack([random.integers(0, size, 50) for size in SCHEMA.sizes], axis=1)
    grouped = grouping.to_groups(codes, SCHEMA)
    back = grouping.to_groups(grouping.to_codes(grouped, SCHEMA, random), SCHEMA)
    assert (back == grouped).all()


def test_groups_of_numbers_are_neighbours_and_missing_stays_apart():
    grouping = made(skewed(1))
    age, cost = np.split(grouping.groups, np.cumsum(SCHEMA.sizes)[:-1])[:2]
    assert (np.diff(age) >= 0).all()
    assert (np.diff(age) <= 1).all()
    assert age.max() < 8
    assert (cost == cost[-1]).sum() == 1  # the code of a missing value


def test_a_conditions_codes_are_never_grouped():
    groups = np.split(made([np.zeros(size) for size in SCHEMA.sizes]).groups, np.cumsum(SCHEMA.sizes)[:-1])
    assert groups[5].tolist() == [0, 1]


def test_bins_follow_the_mass():
    counts = skewed(2)
    counts[0] = np.zeros(SCHEMA.sizes[0])
    counts[0][40] = 5000.0  # a heavy value keeps a bin of its own
    counts[0][:40] = 60.0
    age = np.split(made(counts).groups, np.cumsum(SCHEMA.sizes)[:-1])[0]
    assert (age == age[40]).sum() == 1 or set(np.nonzero(age == age[40])[0]) <= set(range(40, 128))


def test_the_noise_of_empty_cells_does_not_add_up_to_a_tail():
    """30 cells hold everything, 226 hold noise. The control: counts below zero merely cut off."""
    pay = NumberColumn(name="pay", bounds=(0, 25_599), decimals=0, bins=2)
    schema = TableSchema(name="tail", columns=(pay, *SCHEMA.columns[4:]))
    noise = np.random.default_rng(4).normal(0.0, 20.0, 256)
    counts = [np.where(np.arange(256) < 30, 200.0, 0.0) + noise, np.full(4, 1500.0), np.full(2, 3000.0)]
    grouping = Grouping.from_counts(counts, np.full(3, 1e-3), 1.0, schema)  # so little is not smoothed
    upper = np.flatnonzero(grouping.groups[:256] == 1)
    cut_off = np.maximum(counts[0], 0.0)[upper]
    beyond = upper >= 30
    assert grouping.shares[upper][beyond].sum() < 0.6 * cut_off[beyond].sum() / cut_off.sum()


def test_common_categories_stay_and_rare_ones_are_shared_out_by_their_counts():
    counts = skewed(3)
    counts[3] = np.array([900.0, 700, 500] + [40.0] * 5 + [4.0] * 32 + [10.0])
    grouping = made(counts)
    code = np.split(grouping.groups, np.cumsum(SCHEMA.sizes)[:-1])[3]
    assert len(set(code[:3])) == 3
    rare = np.bincount(code).argmax()
    rows = np.zeros((20_000, 6), np.int64)
    rows[:, 3] = rare
    drawn = grouping.to_codes(rows, SCHEMA, np.random.default_rng(0))[:, 3]
    inside = np.nonzero(code == rare)[0]
    assert set(drawn) <= set(inside)
    assert np.bincount(drawn, minlength=41)[inside].min() > 0


def test_more_noise_makes_fewer_groups():
    counts = skewed(4, scale=300.0)
    quiet, loud = (len(np.unique(made(counts, noise).groups[: SCHEMA.sizes[0]])) for noise in (1.0, 2000.0))
    assert loud < quiet


@pytest.mark.parametrize("damage", ["short", "negative", "beyond"])
def test_a_grouping_for_another_schema_is_refused(damage):
    groups = made(skewed(5)).groups.copy()
    if damage == "short":
        groups = groups[:-1]
    else:
        groups[0] = -1 if damage == "negative" else 8
    with pytest.raises(MalformedMessageError):
        Grouping.from_wire(groups, SCHEMA)


def test_rows_are_spread_evenly():
    random = np.random.default_rng(0)
    groups = random.integers(0, 5, 997)
    even = evenly(groups, random)
    for group in range(5):
        inside = np.sort(even[groups == group]) * (groups == group).sum()
        assert (np.floor(inside) == np.arange(len(inside))).all()
    assert len(evenly(np.zeros(0, np.int64), random)) == 0


@pytest.mark.parametrize("column", [{"cuts": (1, 2), "bins": 3}, {}])
def test_a_number_has_either_cuts_or_bins(column):
    with pytest.raises(ValueError, match="either cuts or bins"):
        NumberColumn(name="x", bounds=(0, 10), decimals=0, **column)
