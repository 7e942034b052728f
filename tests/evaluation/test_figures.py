"""Figures of fidelity, utility and coverage: closed forms, and laws that differ in a way that is known."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats.contingency import association as scipy_association

from common.columns import CategoryColumn, NumberColumn
from common.errors import TooFewRecordsError
from common.evaluation.array_figures import array_figures
from common.evaluation.benchmark import tvd
from common.evaluation.coverage import coverage
from common.evaluation.evaluate import evaluate
from common.evaluation.kernel_distance import kernel_distance
from common.evaluation.marginals import MOST_MARGINALS, association, chosen, total_variation
from common.evaluation.spectra import spectral_figures
from common.evaluation.table_fidelity import table_fidelity
from common.evaluation.table_utility import said_of_holdout, subgroups, utility
from common.release_terms import DEFAULT_GATE, Task
from common.schema import TableSchema
from tests import toy_arrays

SCHEMA = TableSchema(
    name="table",
    columns=(
        NumberColumn(name="age", bounds=(0, 10), decimals=0, cuts=(2, 4, 6, 8)),
        CategoryColumn(name="kind", categories=("a", "b", "c", "d"), missing=True),
        CategoryColumn(name="sex", categories=("female", "male"), condition=True),
        CategoryColumn(name="sick", categories=("no", "yes")),
    ),
)
TASK = Task(target="sick", equals="yes")


def table(count: int, seed: int, effect: float = 1.0) -> np.ndarray:
    """Codes; age makes sick, more so for men; a kind in two hundred is d. effect: 0 makes sick by chance."""
    random = np.random.default_rng(seed)
    age, sex = random.integers(0, 5, count), random.integers(0, 2, count)
    kind = random.choice(5, count, p=[0.5, 0.3, 0.147, 0.003, 0.05])
    sick = random.random(count) < 1 / (1 + np.exp(-effect * (age - 2) * (0.7 + 0.6 * sex)))
    return np.column_stack([age, kind, sex, sick]).astype(np.int64)


def of(figures, name):
    return next(figure for figure in figures if figure.name == name)


@pytest.fixture(scope="module")
def whole():
    """Everything, of fresh draws and of a table whose columns are independent."""
    training, holdout, fresh = (table(900, seed) for seed in (1, 2, 3))
    made = {"fresh": fresh, "broken": table(900, 4, effect=0.0)}
    return {
        name: evaluate(
            training, holdout, side, SCHEMA, TASK, DEFAULT_GATE, attacker=lambda *_: "not in this test"
        )
        for name, side in made.items()
    }


@pytest.mark.parametrize("order", [1, 2, 3])
def test_total_variation_is_that_of_the_benchmark_and_its_interval_covers(order):
    left, right = table(2000, 1), table(2000, 2, effect=0.0)
    found = total_variation(left, right, SCHEMA.sizes, order)
    assert found.value == pytest.approx(tvd(left, right, SCHEMA.sizes, order))
    assert found.marginals == found.possible == len(list(combinations(range(4), order)))
    truth = total_variation(table(400_000, 3), table(400_000, 4, effect=0.0), SCHEMA.sizes, 1).value
    if order == 1:
        assert found.low - 0.01 < truth < found.high
    same = total_variation(left, left, SCHEMA.sizes, order)
    assert same.value == same.low == 0


def test_of_many_marginals_the_same_are_chosen_by_all():
    assert len(chosen(40, 3)) == MOST_MARGINALS == len(set(chosen(40, 3)))
    assert chosen(40, 3) == chosen(40, 3)
    assert len(chosen(5, 3)) == 10


def test_association_is_cramers_v():
    left, right = table(3000, 1), table(3000, 2, effect=0.0)
    cells = [np.zeros((5, 2), np.int64) for _ in range(2)]
    for counts, side in zip(cells, (left, right), strict=True):
        np.add.at(counts, (side[:, 0], side[:, 3]), 1)
    by_scipy = [scipy_association(counts, method="cramer") for counts in cells]
    found = association(left[:, [0, 3]], right[:, [0, 3]], [5, 2])
    assert found.value == pytest.approx(abs(by_scipy[0] - by_scipy[1]))
    assert found.low < found.value < found.high
    assert association(left, left, SCHEMA.sizes).value == 0


def test_fresh_draws_look_like_the_reference_and_broken_ones_do_not(whole):
    fresh, broken = whole["fresh"], whole["broken"]
    assert not fresh.shareable
    assert fresh.records == {"training": 900, "held_out": 900, "synthetic": 900}
    for name in ("tvd1", "tvd2", "tvd3", "association", "c2st"):
        figure, worse = of(fresh.fidelity, name), of(broken.fidelity, name)
        assert figure.low <= figure.value <= figure.high
        assert figure.source == "records"
        assert worse.reference == figure.reference
        if name != "tvd1":
            assert worse.value > worse.reference
    assert of(broken.fidelity, "c2st").low > 0.56
    assert of(fresh.fidelity, "c2st").low < 0.53
    assert {figure.name for figure in fresh.utility} == {"auc.boosting", "auc.logistic", "auc.trees"}
    for figure in fresh.utility:
        assert figure.low < figure.reference < figure.high
        assert of(broken.utility, figure.name).high < figure.low
    assert fresh.gate.verdict != "failed"


def test_subgroups_are_told_apart_and_small_ones_left_out(whole):
    names = {figure.name for figure in whole["fresh"].subgroups}
    assert names == {
        f"{kind}.boosting/sex={sex}" for kind in ("auc", "tpr_gap", "parity") for sex in ("female", "male")
    }
    female, male = (of(whole["fresh"].subgroups, f"auc.boosting/sex={sex}") for sex in ("female", "male"))
    assert male.value > female.high - 0.02  # age says more of men
    training, holdout = table(600, 1), table(600, 2)
    holdout = holdout[(holdout[:, 2] == 0) | (np.arange(600) < 20)]
    few = subgroups(said_of_holdout(training, holdout, training, SCHEMA, TASK), holdout, SCHEMA)
    assert {figure.name for figure in few} == {"auc.boosting/sex=female"}


def test_records_that_were_dealt_by_a_seed_are_chosen_from_at_random():
    """The sampler deals records of a kind to places that a permutation of its seed says."""
    training, holdout, made = table(600, 1), table(600, 2), table(3000, 3)
    dealt = np.empty_like(made)
    dealt[np.random.default_rng(0).permutation(3000)] = made[np.argsort(made[:, 3], kind="stable")]
    told = [
        of(utility(said_of_holdout(training, holdout, side, SCHEMA, TASK)), "auc.boosting").value
        for side in (dealt, made)
    ]
    assert abs(told[0] - told[1]) < 0.05


def test_an_unfair_release_shows():
    """Synthetic men are sick by age, synthetic women never: what learns from it finds sick men only."""
    training, holdout, made = (table(3000, seed) for seed in (1, 2, 3))
    made[made[:, 2] == 0, 3] = 0
    gap = of(
        subgroups(said_of_holdout(training, holdout, made, SCHEMA, TASK), holdout, SCHEMA),
        "tpr_gap.boosting/sex=female",
    )
    assert gap.low > 0.3 > gap.reference


def test_the_two_sample_test_does_not_recognise_subjects():
    """Three equal rows a person: in records they are told apart, in persons they are not."""
    cuts = tuple(range(1, 200))
    numbers = [NumberColumn(name=name, bounds=(0, 199), decimals=0, cuts=cuts) for name in "uv"]
    wide = TableSchema(name="wide", columns=(*numbers, SCHEMA.columns[2]))
    random = np.random.default_rng(0)
    people = [random.integers(0, [200, 200, 2], (400, 3)) for _ in range(2)]
    training, holdout = (np.repeat(side, 3, axis=0) for side in people)
    naive, grouped = (
        of(table_fidelity(training, holdout, training, wide, each), "c2st").reference
        for each in (None, (people[0], people[1]))
    )
    assert naive > 0.65
    assert abs(grouped - 0.5) < 0.06


def test_a_task_without_two_classes_says_nothing():
    holdout = table(500, 2)
    holdout[:, 3] = 1
    assert utility(said_of_holdout(table(500, 1), holdout, table(500, 3), SCHEMA, TASK)) == ()


def test_rare_categories_that_are_lost_show():
    training, holdout, fresh = (table(4000, seed) for seed in (1, 2, 3))
    lost = fresh.copy()
    lost[lost[:, 1] == 3, 1] = 0
    for made, share in ((fresh, 1.0), (lost, 0.0)):
        figures = coverage(training, holdout, made, SCHEMA)
        rare = of(figures, "coverage.categories.rare")
        assert rare.value == share
        assert rare.reference == 1.0
        assert rare.low < rare.high
        assert of(figures, "coverage.categories.common").value == 1.0
        assert of(figures, "coverage.conditions.common").value == 1.0


def test_kernel_distance_is_unbiased_and_sees_a_shift():
    random = np.random.default_rng(0)
    same = [kernel_distance(*random.normal(size=(2, 60, 8))).value for _ in range(60)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(60)
    assert min(same) < 0  # a biased estimate never is
    real, moved = random.normal(size=(2000, 8)), random.normal(0.5, size=(2000, 8))
    found = kernel_distance(real, moved)
    assert 0 < found.low < found.value < found.high
    x, y = real[:3], moved[:3]
    kernel = lambda a, b: (a @ b / 8 + 1) ** 3  # noqa: E731
    pairs = list(combinations(range(3), 2))
    by_hand = np.mean([kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in pairs])
    by_hand -= 2 * np.mean([kernel(a, b) for a in x for b in y])
    assert kernel_distance(x, y).value == pytest.approx(by_hand)
    with pytest.raises(TooFewRecordsError):
        kernel_distance(x[:1], y)


def test_spectra_of_signals():
    training, holdout, fresh = (toy_arrays.waves(400, seed) for seed in (1, 2, 3))
    good = spectral_figures(training, holdout, fresh, toy_arrays.WAVES)
    noisy = fresh.take(np.arange(400))
    noisy.values[:] = noisy.values + np.random.default_rng(0).normal(0, 0.3, noisy.values.shape)
    bad = spectral_figures(training, holdout, noisy, toy_arrays.WAVES)
    assert {figure.name for figure in good} == {
        f"{name}/kind={kind}" for name in ("spectrum", "autocorrelation") for kind in ("sine", "ramp")
    }
    for figure, worse in zip(good, bad, strict=True):
        assert figure.low <= figure.value <= figure.high
        assert worse.low > 2 * figure.value


def test_everything_of_signals():
    training, holdout, fresh = (toy_arrays.waves(300, seed) for seed in (1, 2, 3))
    found = evaluate(training, holdout, fresh, toy_arrays.WAVES, None, DEFAULT_GATE)
    assert found.gate.verdict != "failed"
    trees = of(found.utility, "accuracy.trees")
    assert trees.low < trees.value <= trees.high
    assert of(found.coverage, "coverage.labels.common").value == 1.0
    assert of(found.fidelity, "spectrum/kind=sine").reference is not None


def test_figures_of_images():
    arrays = toy_arrays.digits()
    rows = np.split(np.random.default_rng(0).permutation(len(arrays))[:900], 3)
    training, holdout, fresh = (arrays.take(part) for part in rows)
    fidelity, utility_ = array_figures(training, holdout, fresh, toy_arrays.DIGITS, 0, reference=600)
    names = [figure.name for figure in fidelity]
    assert names == [
        "domain_fid",
        "kid",
        "sliced_wasserstein",
        "precision",
        "recall",
        "density",
        "prdc_coverage",
    ]
    assert {figure.name for figure in utility_} == {"accuracy.small-cnn", "macro_f1.small-cnn"}
    kid = of(fidelity, "kid")
    assert kid.value < 10 * abs(kid.reference) + 0.1
