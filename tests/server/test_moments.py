"""From noisy sums to a generator: estimates near the truth, and a fit that learns."""

from itertools import combinations, product

import numpy as np
import pytest
import torch

from common.evaluation.fidelity import distances
from common.generator import ReleasedGenerator
from common.modalities.gram import GramFeatures
from common.modalities.grouping import Grouping
from common.modalities.histograms import HistogramFeatures
from common.modalities.layout import Layout
from common.modalities.tabular import encode
from common.models.pair import Pair
from common.models.tabular import ColumnSoftmax
from common.planning import make_plan, stand_in
from server.fit import fit, moment_loss
from server.moments import estimate, one_way
from tests import toy

LAYOUT = Layout.of(toy.SCHEMA)
MODEL = make_plan(toy.config(), toy.SCHEMA, stand_in(toy.config()), run="moments").model
GROUPING = Grouping.of_itself(toy.SCHEMA)
SPLITS = pytest.mark.parametrize("split", [(), (4,), (5,), (4, 5)], ids=["whole", "diagnosis", "sex", "both"])


@pytest.fixture(scope="module")
def codes():
    return encode(toy.records(6000).drop(columns="hospital"), toy.SCHEMA)


def sums(features, codes, sigma, seed=0):
    """Both sums, as they are opened."""
    random, weights = np.random.default_rng(seed), np.ones(len(codes))
    first, second = HistogramFeatures(tuple(toy.SCHEMA.sizes)), LAYOUT.to_model(codes)
    exact = first.sum(codes, weights), features.sum(second, weights)
    return [total + random.normal(0, sigma, len(total)) for total in exact]


def estimated(features, codes, sigma, seed=0):
    counts, total = sums(features, codes, sigma, seed)
    floor = max(sigma, 1e-6)  # a plan without noise does not exist
    singles = one_way(counts, floor, GROUPING, toy.SCHEMA, features)
    return estimate(total, features, floor, singles)


def truth(features, codes):
    """Shares of all records: members [C], singles [C, W], pairs [C, W, W]."""
    grouped = LAYOUT.to_model(codes)
    shape = [LAYOUT.sizes[j] for j in features.split]
    width = len(features.owner)
    singles, pairs = (np.zeros((features.classes, *[width] * n)) for n in (1, 2))
    for number, values in enumerate(np.ndindex(*shape)):
        inside = grouped[np.all(grouped[:, list(features.split)] == np.array(values, np.int64), axis=1)]
        one_hot = np.concatenate([np.eye(LAYOUT.sizes[j])[inside[:, j]] for j in features.columns], axis=1)
        singles[number] = one_hot.sum(0) / len(codes)
        pairs[number] = one_hot.T @ one_hot / len(codes)
    between = features.owner[:, None] != features.owner
    return singles, pairs * between


@SPLITS
def test_without_noise_the_estimate_is_the_truth(codes, split):
    features = GramFeatures(LAYOUT, split, 0.3, 3.0)
    moments = estimated(features, codes, 0.0)
    singles, pairs = truth(features, codes)
    assert moments.total == pytest.approx(len(codes))
    assert np.allclose(moments.singles, singles, atol=1e-4)
    assert np.allclose(moments.pairs, pairs, atol=1e-4)
    grid = LAYOUT.condition_grid()
    own = LAYOUT.to_model(codes)[:, -grid.shape[1] :]
    prior = [(own == combination).all(axis=1).mean() for combination in grid]
    assert np.allclose(moments.prior, prior, atol=1e-4)


@SPLITS
def test_with_noise_consistency_beats_the_raw_counts(codes, split):
    features = GramFeatures(LAYOUT, split, 0.3)
    singles, pairs = truth(features, codes)
    errors = []
    for seed in range(6):
        counts, total = sums(features, codes, 10.0, seed)
        moments = estimated(features, codes, 10.0, seed)
        raw = HistogramFeatures(tuple(toy.SCHEMA.sizes)).counts(counts)
        raw = np.concatenate([raw[LAYOUT.order[j]] for j in features.columns]) / len(codes)
        noisy = features.matrices(total) / len(codes)
        errors.append(
            [
                distance(moments.singles.sum(0), singles.sum(0)),
                distance(raw, singles.sum(0)),
                distance(moments.singles, singles),
                distance(
                    noisy[:, features.blocks[1], features.blocks[0]].sum(2), singles[:, features.blocks[1]]
                ),
                distance(moments.singles[:, features.blocks[1]], singles[:, features.blocks[1]]),
                distance(moments.pairs, pairs),
                distance(noisy, pairs),
            ]
        )
        assert abs(moments.total - len(codes)) < 200
    joint, raw, _, margin, own, two, noisy = np.mean(errors, axis=0)
    assert joint < (1.05 if split else 0.8) * raw  # the more is split, the less pairs say of one column alone
    assert own < 0.6 * margin
    assert two < 0.9 * noisy
    classes = check_consistent(moments, features)
    for a, b in combinations(features.blocks, 2):
        for i, j in ((a, b), (b, a)):  # margins of pairs are the singles
            assert np.allclose(moments.pairs[:, i, j].sum(2), moments.singles[:, i], atol=1e-4)
    assert np.allclose(classes, singles[:, features.blocks[0]].sum(1), atol=0.05)


def errors_of_pairs(codes, weight):
    """Of pairs with a condition, and of the others, when nothing is split."""
    features = GramFeatures(LAYOUT, (), 0.25, weight)
    _, pairs = truth(features, codes)
    asked = features.owner >= len(LAYOUT.generated)
    asked = asked[:, None] | asked
    wrong = [estimated(features, codes, 10.0, seed).pairs - pairs for seed in range(4)]
    return [np.sqrt(np.mean([(one[:, where] ** 2).mean() for one in wrong])) for where in (asked, ~asked)]


def test_pairs_with_a_condition_are_told_better_at_the_cost_of_the_others(codes):
    (asked, others), (even, rest) = (errors_of_pairs(codes, weight) for weight in (3.0, 1.0))
    assert asked < 0.85 * even
    assert 1.2 * rest < others
    split = (GramFeatures(LAYOUT, (4, 5), 0.25, weight).pair_weights for weight in (3.0, 1.0))
    assert np.allclose(*split)  # negative control: a condition that splits is in no pair


def test_without_split_classes_a_fit_to_few_records_goes_on(codes, monkeypatch):
    """As long as with split classes it would hardly leave independent columns."""
    torch.set_num_threads(1)
    features, few = GramFeatures(LAYOUT, (), 0.25, 3.0), codes[:800]
    moments = estimated(features, few, 8.0)
    measure = type("M", (), {"fit_steps": 800, "fit_learning_rate": 3e-3})()
    apart = []
    for fewest in (200, 50):
        monkeypatch.setattr("server.fit._FEWEST_STEPS", (fewest, 50))
        model = MODEL.model_copy(update={"latents": 32, "generator_hidden": (32, 32)})
        pair = Pair.new(LAYOUT, model, 0)
        fit(pair.generator, moments, features, measure, 0.0)
        made = ReleasedGenerator(toy.SCHEMA, model, pair.generator, moments.prior, GROUPING, {})
        apart.append(distances(made.groups(6000, {}, 0), codes, toy.SCHEMA.sizes).two_way)
    longer, shorter = apart
    assert longer < 0.9 * shorter


def test_where_noise_is_faint_the_same_steps_go_further(codes, monkeypatch):
    """At the usual rate they leave most of what could be seen; where noise is strong nothing changes."""
    torch.set_num_threads(1)
    features = GramFeatures(LAYOUT, (5,), 0.25, 3.0)
    measure = type("M", (), {"fit_steps": 80, "fit_learning_rate": 3e-3})()
    model = MODEL.model_copy(update={"latents": 32, "generator_hidden": (32, 32)})
    apart = {}
    for sigma, fastest in product((0.5, 200.0), (8.0, 1.0)):
        monkeypatch.setattr("server.fit._FASTEST", fastest)
        moments, pair = estimated(features, codes, sigma), Pair.new(LAYOUT, model, 0)
        fit(pair.generator, moments, features, measure, 0.0)
        made = ReleasedGenerator(toy.SCHEMA, model, pair.generator, moments.prior, GROUPING, {})
        apart[sigma, fastest] = distances(made.groups(6000, {}, 0), codes, toy.SCHEMA.sizes).two_way
    assert apart[0.5, 8.0] < 0.8 * apart[0.5, 1.0]
    assert apart[200.0, 8.0] == apart[200.0, 1.0]


def distance(left, right):
    return np.abs(left - right).sum()


def check_consistent(moments, features):
    """Whatever the noise was, shares are shares; those of the classes are returned."""
    for found in (moments.prior, moments.singles, moments.pairs, moments.single_precision):
        assert np.isfinite(found).all()
    classes = moments.singles[:, features.blocks[0]].sum(1)
    assert classes.sum() == pytest.approx(1, abs=1e-4)
    assert moments.prior.sum() == pytest.approx(1, abs=1e-4)
    assert (moments.prior >= 0).all()
    assert (moments.singles >= 0).all()
    for block in features.blocks:
        assert np.allclose(moments.singles[:, block].sum(1), classes, atol=1e-4)
    return classes


@SPLITS
@pytest.mark.parametrize("sigma", [20.0, 150.0, 400.0])
def test_a_class_that_is_lost_in_noise_breaks_nothing(codes, split, sigma):
    severe = codes[:, 4] == 2
    features = GramFeatures(LAYOUT, split, 0.3)
    for seed in range(6):
        rare = np.concatenate([codes[~severe], codes[severe][:3]])
        check_consistent(estimated(features, rare, sigma, seed), features)


@SPLITS
def test_a_fitted_generator_beats_independent_columns(codes, split):
    torch.set_num_threads(1)
    features = GramFeatures(LAYOUT, split, 0.3)
    moments = estimated(features, codes, 3.0)
    plan_model = MODEL
    pair = Pair.new(LAYOUT, plan_model, 0)
    measure = type("M", (), {"fit_steps": 200, "fit_learning_rate": 3e-3})()
    fit(pair.generator, moments, features, measure, 0.0)
    released = ReleasedGenerator(toy.SCHEMA, plan_model, pair.generator, moments.prior, GROUPING, {})
    made = released.groups(6000, {}, 0)
    random = np.random.default_rng(0)
    independent = np.stack([random.permutation(column) for column in codes.T], axis=1)
    fitted = distances(made, codes, toy.SCHEMA.sizes)
    shuffled = distances(independent, codes, toy.SCHEMA.sizes)
    assert shuffled.one_way == 0.0
    assert fitted.one_way < 0.03
    assert fitted.two_way < 0.6 * shuffled.two_way


@SPLITS
def test_the_moment_loss_is_zero_at_a_generators_own_moments_and_nowhere_else(codes, split):
    """What the loss compares with is drawn here the slow way: a record at a time."""
    features = GramFeatures(LAYOUT, split, 0.3)
    pair = Pair.new(LAYOUT, MODEL, 3)
    with torch.no_grad():  # away from the fresh generator, whose columns do not depend on conditions
        random = torch.Generator().manual_seed(0)
        for parameter in pair.generator.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random))
    moments = estimated(features, codes, 3.0)
    singles, pairs = own_moments(pair.generator, features, moments.prior)
    at_truth = type(moments)(
        **{name: getattr(moments, name) for name in moments.__dataclass_fields__}
        | {"singles": singles, "pairs": pairs}
    )
    other = Pair.new(LAYOUT, MODEL, 4)
    with torch.no_grad():
        assert float(moment_loss(at_truth, features)(pair.generator)) < 1e-4
        assert float(moment_loss(moments, features)(pair.generator)) > 10
        assert float(moment_loss(at_truth, features)(other.generator)) > 1


@torch.no_grad()
def own_moments(generator, features, prior):
    """One-way and two-way shares by class of a generator under the prior."""
    width, between = len(features.owner), features.owner[:, None] != features.owner
    singles, pairs = (np.zeros((features.classes, *[width] * n)) for n in (1, 2))
    shape = [LAYOUT.sizes[j] for j in features.split]
    first = len(LAYOUT.generated)
    for share, combination in zip(prior, LAYOUT.condition_grid(), strict=True):
        codes = dict(zip(range(first, len(LAYOUT.sizes)), combination, strict=True))
        fixed = torch.cat([torch.eye(LAYOUT.sizes[j])[code] for j, code in codes.items()])
        rest = [np.eye(LAYOUT.sizes[j])[code] for j, code in codes.items() if j not in features.split]
        number = np.ravel_multi_index([codes[j] for j in features.split], shape) if shape else 0
        for latent in generator.latents:
            logits = generator(latent[None], fixed[None])[0].split(list(LAYOUT.generated))
            record = np.concatenate([*(part.softmax(0).double().numpy() for part in logits), *rest])
            singles[number] += share * record / len(generator.latents)
            pairs[number] += share * np.outer(record, record) * between / len(generator.latents)
    return singles, pairs


@pytest.mark.parametrize("sizes", [(2,), (3, 5, 2), (4, 1, 7)])
def test_the_padded_softmax_is_a_softmax_of_each_column(sizes):
    logits = torch.randn(6, sum(sizes), generator=torch.Generator().manual_seed(0))
    columns = ColumnSoftmax(sizes)
    slow = torch.cat([part.softmax(1) for part in logits.split(list(sizes), 1)], 1)
    assert torch.allclose(columns.probabilities(logits), slow)
    hard = columns.one_hot_sample(logits, torch.Generator().manual_seed(1))
    assert torch.allclose(hard.sum(1), torch.full((6,), float(len(sizes))))
    assert set(hard.round().unique().tolist()) <= {0.0, 1.0}
    many = columns.one_hot_sample(logits.repeat(3000, 1), torch.Generator().manual_seed(2))
    assert torch.allclose(many.view(3000, 6, -1).mean(0), slow, atol=0.05)


def test_released_records_follow_the_generators_shares():
    """Spread evenly instead of drawn independently, and still each record's columns independent given z."""
    model = MODEL
    pair = Pair.new(LAYOUT, model, 5)
    with torch.no_grad():
        random = torch.Generator().manual_seed(1)
        for parameter in pair.generator.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random))
    combinations_ = len(LAYOUT.condition_grid())
    prior = np.arange(1, combinations_ + 1) / np.arange(1, combinations_ + 1).sum()
    made = ReleasedGenerator(toy.SCHEMA, model, pair.generator, prior, GROUPING, {}).groups(30_000, {}, 0)
    features = GramFeatures(LAYOUT, (), 0.0)
    singles, pairs = own_moments(pair.generator, features, prior)
    found_singles, found_pairs = truth(features, made)
    assert np.allclose(found_singles, singles, atol=0.005)
    assert np.allclose(found_pairs, pairs, atol=0.01)
