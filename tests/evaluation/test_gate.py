"""The gate fails generators that copy, passes one that draws afresh, and says when records are too few."""

import numpy as np
import pytest
from scipy.stats import binom

from common.arrays import Arrays
from common.bench.gate import measure, plant, randhie, thirds
from common.columns import CategoryColumn, NumberColumn
from common.errors import ConfigError, TooFewRecordsError
from common.evaluation.anonymity import Attack
from common.evaluation.attacks import CLOSE_SCORE, PUBLIC_EDGES, public_scores
from common.evaluation.gate import FALSE_ALARMS, gate
from common.evaluation.intervals import auc_interval, clopper_pearson, more_than_chance, newcombe
from common.evaluation.nearness import nearest, nearest_other
from common.evaluation.rates import at_false_positive_rate
from common.evaluation.space import keys, places, space_of
from common.release_terms import DEFAULT_GATE
from common.schema import TableSchema
from tests import toy_arrays

MADE_UP = TableSchema(
    name="made-up",
    columns=(
        *(NumberColumn(name=f"x{i}", bounds=(0, 32), decimals=2, cuts=tuple(range(1, 32))) for i in range(6)),
        CategoryColumn(name="a", categories=tuple("abcdef"), missing=True),
        CategoryColumn(name="b", categories=tuple("pqrs"), condition=True),
    ),
)


def made_up(count: int, seed: int) -> np.ndarray:
    """Codes in which columns depend on each other: a hidden number moves them all."""
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(count, 1))
    numbers = (np.array(MADE_UP.sizes[:6]) / 2 + 4 * hidden + 3 * random.normal(size=(count, 6))).astype(int)
    a, b = random.integers(0, 7, count), (hidden[:, 0] > 0) + 2 * (random.random(count) < 0.3)
    return np.column_stack([numbers.clip(0, np.array(MADE_UP.sizes[:6]) - 1), a, b]).astype(np.int64)


def of(found, name):
    return next(one for one in found.criteria if one.name == name)


@pytest.fixture(scope="module")
def parts():
    """Of the demo's real table: 3,000 training, held-out and fresh records."""
    codes, schema = randhie()
    return *thirds(codes, 3000, np.random.default_rng(0)), schema


@pytest.fixture(scope="module")
def judged(parts):
    training, holdout, fresh, schema = parts

    def judge(share: float, altered: int = 0):
        random = np.random.default_rng(1)
        made = plant(training, fresh, share, altered, schema.sizes, random)
        return gate(training, holdout, made, schema, DEFAULT_GATE)

    cases = {"fresh": (0.0, 0), "1 %": (0.01, 0), "10 %": (0.1, 0), "10 % altered": (0.1, 1)}
    return {name: judge(*case) for name, case in cases.items()}


def test_fresh_draws_pass(judged):
    found = judged["fresh"]
    assert found.verdict == "passed", [one for one in found.criteria if one.verdict == "inconclusive"]
    assert of(found, "copies").resolution <= 2 * DEFAULT_GATE.copies


@pytest.mark.parametrize("case", ["1 %", "10 %"])
def test_copies_fail(judged, case):
    found, share = judged[case], {"1 %": 0.01, "10 %": 0.1}[case]
    assert found.verdict == "failed"
    assert {of(found, name).verdict for name in ("copies", "tpr01.density")} == {"failed"}
    copies = of(found, "copies")
    assert copies.low < share < copies.high
    assert copies.value == pytest.approx(share, rel=0.2)


def test_copies_with_one_column_altered_fail_where_no_record_is_equal(judged):
    found = judged["10 % altered"]
    assert of(found, "copies").verdict != "failed"
    assert of(found, "close").verdict == "failed"
    assert of(found, "tpr1.density").value > 0.03


def test_distance_to_the_closest_record_is_blind(judged):
    """Ten percent of word for word copies move it less than it would take to notice; it decides nothing."""
    fresh, copied = (of(judged[case], "dcr") for case in ("fresh", "10 %"))
    assert fresh.verdict == copied.verdict == "information"
    assert abs(fresh.value - 0.5) < 0.03
    assert copied.value < 0.57
    assert copied.threshold is None


def test_one_percent_fails_in_a_made_up_table_and_repeating_copies_does_not_hide_them():
    training, holdout, fresh = (made_up(1500, seed) for seed in (1, 2, 3))
    random = np.random.default_rng(0)
    copied = plant(training, fresh, 0.02, 0, MADE_UP.sizes, random)
    repeated = np.concatenate([copied, copied])
    for made in (copied, repeated):
        found = gate(training, holdout, made, MADE_UP, DEFAULT_GATE)
        assert found.verdict == "failed"
        assert of(found, "copies").verdict == "failed" or of(found, "close").verdict == "failed"
    assert gate(training, holdout, fresh, MADE_UP, DEFAULT_GATE).verdict != "failed"


def test_false_alarms_are_rarer_than_promised():
    """Of 30 gates of fresh draws, three failures would refute one in a hundred (p < 0.01)."""
    random, failed = np.random.default_rng(7), 0
    pool = made_up(40_000, 11)
    for _ in range(30):
        training, holdout, fresh = thirds(pool, 400, random)
        failed += gate(training, holdout, fresh, MADE_UP, DEFAULT_GATE).verdict == "failed"
    assert binom.sf(failed - 1, 30, FALSE_ALARMS) > 0.01


def test_few_records_are_inconclusive_and_none_are_refused():
    training, holdout, fresh = (made_up(150, seed) for seed in (1, 2, 3))
    found = gate(training, holdout, fresh, MADE_UP, DEFAULT_GATE)
    assert found.verdict == "inconclusive"
    assert "needs 3000 held-out units" in of(found, "tpr01.density").how
    assert "too few records" in of(found, "copies").how
    with pytest.raises(TooFewRecordsError):
        gate(training, holdout, fresh[:1], MADE_UP, DEFAULT_GATE)
    with pytest.raises(TooFewRecordsError):
        gate(training[:1], holdout, fresh, MADE_UP, DEFAULT_GATE)


def test_a_subject_counts_once():
    """Three rows a person, all of a person's copied: the interval is that of persons, not of rows."""
    training, holdout, fresh = (made_up(900, seed) for seed in (1, 2, 3))
    subjects = (np.arange(900) // 3, np.arange(900) // 3)
    made = fresh.copy()
    made[:90] = training[:90]
    whole = of(gate(training, holdout, made, MADE_UP, DEFAULT_GATE), "copies")
    persons = of(gate(training, holdout, made, MADE_UP, DEFAULT_GATE, subjects=subjects), "copies")
    assert whole.value == pytest.approx(0.1, abs=0.02)
    assert persons.value == pytest.approx(30 / 900, abs=0.01)
    assert "of 300 training" in persons.how
    assert persons.resolution > whole.resolution / 3


def test_an_overfitted_discriminator_fails_and_one_that_knows_nothing_does_not():
    training, holdout, fresh = (made_up(1000, seed) for seed in (1, 2, 3))
    random = np.random.default_rng(0)
    inside, outside = random.normal(size=(2, 1000))
    ways = {shift: (inside + shift, outside) for shift in (0.0, 2.0)}
    blind, knowing = (
        of(
            gate(training, holdout, fresh, MADE_UP, DEFAULT_GATE, discriminator_scores=scores),
            "tpr1.discriminator",
        )
        for scores in ways.values()
    )
    assert blind.verdict == "passed"
    assert knowing.verdict == "failed"
    assert knowing.low < 0.37 < knowing.high  # the truth of two normals two deviations apart


def test_what_anonymeter_found_is_judged_and_what_it_did_not_do_is_said():
    training, holdout, fresh = (made_up(500, seed) for seed in (1, 2, 3))

    def linked(hits, reason=None):
        attack = Attack(
            name="linkability",
            title="linked",
            how="",
            hits=hits,
            tries=1000,
            control_hits=20,
            controls=1000,
        )
        found = gate(training, holdout, fresh, MADE_UP, DEFAULT_GATE, anonymity=reason or (attack,))
        return of(found, "anonymeter" if reason else "linkability")

    assert linked(25).verdict == "passed"
    assert linked(200).verdict == "failed"
    assert linked(200).value == pytest.approx(0.18 / 0.98)
    missing = linked(0, "it is not there")
    assert missing.verdict == "information"
    assert "it is not there" in missing.how


def test_images_that_are_copied_fail():
    arrays = toy_arrays.digits()
    order = np.random.default_rng(0).permutation(len(arrays))
    training, holdout, fresh = (arrays.take(rows) for rows in np.split(order, [600, 1200]))
    fresh = fresh.take(np.arange(500))
    found = gate(training, holdout, fresh, toy_arrays.DIGITS, DEFAULT_GATE)
    assert found.verdict != "failed"
    copied = Arrays(
        np.concatenate([fresh.values[:450], training.values[:50]]),
        np.concatenate([fresh.labels[:450], training.labels[:50]]),
    )
    found = gate(training, holdout, copied, toy_arrays.DIGITS, DEFAULT_GATE)
    assert of(found, "copies").verdict == "failed"
    assert not [one for one in found.criteria if one.name == "anonymeter"]


def test_distances_are_those_of_the_definition():
    random = np.random.default_rng(0)
    left, right = made_up(20, 1), np.unique(made_up(50, 2), axis=0)
    left[0] = right[3]
    left[1:4, 6] = 6  # missing
    found = nearest(left, right[random.permutation(len(right))], space_of(MADE_UP))

    def apart(one, other):
        total = 0.0
        for j, column in enumerate(MADE_UP.columns):
            order = places(column)
            if one[j] == other[j]:
                continue
            absent = column.size - 1 if column.missing else -1
            if order is None or absent in (one[j], other[j]):
                total += 1
            else:
                rank = np.argsort(order)
                total += 0.5 + 0.5 * abs(rank[one[j]] - rank[other[j]]) / (len(order) - 1)
        return total / len(MADE_UP.columns)

    by_hand = np.sort([[apart(one, other) for other in right] for one in left], axis=1)
    assert np.abs(found.first - by_hand[:, 0]).max() < 1e-5
    assert np.abs(found.second - by_hand[:, 1]).max() < 1e-5
    assert found.exact.tolist() == [True] + [False] * 19
    alone = nearest_other(np.concatenate([left[:3], left[:1]]), space_of(MADE_UP))
    assert alone[0] == alone[3] == 0 < alone[1]


def test_public_scores_put_solitary_copies_first():
    training, fresh = made_up(300, 1), made_up(300, 2)
    made = np.concatenate([fresh, training[:5], training[:5]])
    scores = public_scores(training, made, MADE_UP)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.digitize(scores[:5], PUBLIC_EDGES) < 4).all()
    assert (np.digitize(scores[5:], PUBLIC_EDGES) >= 4).mean() > 0.95
    alone = public_scores(training[7:8], made, MADE_UP)[0]  # one record needs no other
    assert scores[7] == pytest.approx(alone, abs=1e-5)
    assert list(PUBLIC_EDGES) == sorted(PUBLIC_EDGES)
    assert CLOSE_SCORE in PUBLIC_EDGES
    assert len(PUBLIC_EDGES) < 32


def test_equal_records_have_equal_keys_and_others_do_not():
    codes = made_up(5000, 1)
    assert len(np.unique(keys(codes))) == len(np.unique(codes, axis=0))
    signals = toy_arrays.waves(50)
    zero = Arrays(np.where(np.arange(16) == 3, 0.0, signals.values).astype(np.float32), signals.labels)
    minus = Arrays(np.where(np.arange(16) == 3, -0.0, signals.values).astype(np.float32), signals.labels)
    assert (keys(zero) == keys(minus)).all()
    assert (keys(zero) != keys(signals)).all()


def test_rates_at_few_false_alarms():
    random = np.random.default_rng(0)
    inside, outside = random.normal(1, size=4000), random.normal(size=4000)
    found = at_false_positive_rate(inside, outside, 0.01, 0.02, 0.001)
    assert found.low < 0.0924 < found.high  # Phi(1 - 2.326)
    assert found.p_value < 1e-6
    none = at_false_positive_rate(random.normal(size=4000), outside, 0.01, 0.02, 0.001)
    assert none.low < 0.01 < none.high
    assert none.p_value > 0.001
    tied = at_false_positive_rate(np.ones(100), np.ones(100), 0.01, 0.02, 0.001)
    assert tied.value == pytest.approx(0.01)  # what guessing achieves
    assert (tied.low, tied.high) == (0.0, 1.0)


def test_intervals_against_published_values():
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-4)  # Newcombe 1998, table II a
    assert clopper_pearson(0, 100) == pytest.approx((0, 0.0362), abs=1e-4)
    assert more_than_chance(3, 4, 1, 4) == pytest.approx(17 / 70)  # the lady tasting tea
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        _, low, high = auc_interval(random.normal(1, size=60), random.normal(size=80))
        hits += low <= 0.7602 <= high
    assert 0.92 < hits / 300 < 0.98


def test_the_table_of_the_docs_is_measured():
    found = measure(records=400, seeds=1, fresh=1, anonymeter=False)
    cases = {case["case"]: case for case in found["cases"]}
    assert cases["fresh draws"]["failed"] == 0
    assert cases["10 % copies"]["failed"] == 1
    assert cases["10 % copies"]["failed_by"]["copies"] == 1
    assert cases["10 % copies, one column altered"]["values"]["copies"] < 0.02
    with pytest.raises(ConfigError):
        measure(records=10_000, seeds=1, fresh=1, anonymeter=False)
