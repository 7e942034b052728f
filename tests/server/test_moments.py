"""From noisy sums to a generator: estimates near the truth, and a fit that learns."""

import itertools

import numpy as np
import pytest
import torch

from common.evaluation.fidelity import distances
from common.generator import ReleasedGenerator
from common.modalities.layout import Layout
from common.modalities.tabular import GramFeatures, encode
from common.models.pair import Pair
from common.models.tabular import ColumnSoftmax
from server.fit import fit, moment_loss
from server.moments import estimate
from tests import toy


@pytest.fixture(scope="module")
def table():
    layout = Layout.of(toy.SCHEMA)
    codes = encode(toy.records(6000).drop(columns="hospital"), toy.SCHEMA)
    return layout, codes, GramFeatures(layout.sizes, 1.0)


def noisy(features, layout, codes, sigma, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, features.count)
    return features.sum(layout.to_model(codes)) + noise


def test_without_noise_the_estimate_is_the_truth(table):
    layout, codes, features = table
    moments = estimate(noisy(features, layout, codes, 0.0), layout, features)
    assert moments.total == pytest.approx(len(codes))
    gram = features.matrix(features.sum(layout.to_model(codes))) / len(codes)
    assert np.allclose(moments.singles, np.diag(gram))
    owner = np.repeat(np.arange(len(layout.sizes)), layout.sizes)
    between = owner[:, None] != owner[None, :]
    assert np.allclose(moments.pairs[between], gram[between])
    assert moments.prior.sum() == pytest.approx(1.0)


def test_with_noise_consistency_beats_the_raw_counts(table):
    layout, codes, features = table
    total = noisy(features, layout, codes, 60.0)
    moments = estimate(total, layout, features)
    truth = np.diag(features.matrix(features.sum(layout.to_model(codes)))) / len(codes)
    raw = np.diag(features.matrix(total)) / len(codes)
    assert abs(moments.total - len(codes)) < 100
    assert np.abs(moments.singles - truth).sum() < 0.8 * np.abs(raw - truth).sum()
    starts = np.cumsum([0, *layout.sizes])
    assert all(moments.singles[a:b].sum() == pytest.approx(1) for a, b in itertools.pairwise(starts))
    assert (moments.singles >= 0).all()


def test_a_fitted_generator_beats_independent_columns(table):
    layout, codes, features = table
    torch.set_num_threads(1)
    moments = estimate(noisy(features, layout, codes, 20.0), layout, features)
    plan_model = toy.config().model
    pair = Pair.new(layout, plan_model, 0)
    measure = type("M", (), {"fit_steps": 400, "fit_batch": 64, "fit_learning_rate": 3e-3})()
    fit(pair.generator, moments, layout, measure, 0, 0.0)
    made = ReleasedGenerator(toy.SCHEMA, plan_model, pair.generator, moments.prior, {}).codes(6000, {}, 0)
    random = np.random.default_rng(0)
    independent = np.stack([random.permutation(column) for column in codes.T], axis=1)
    fitted = distances(made, codes, toy.SCHEMA.sizes)
    shuffled = distances(independent, codes, toy.SCHEMA.sizes)
    assert shuffled.one_way == 0.0
    assert fitted.one_way < 0.03
    assert fitted.two_way < 0.6 * shuffled.two_way


def test_the_moment_loss_is_unbiased_and_zero_in_expectation_at_the_truth(table):
    """At a generator's own moments the mean loss over batches is zero within its spread."""
    layout, codes, features = table
    pair = Pair.new(layout, toy.config().model, 3)
    moments = estimate(noisy(features, layout, codes, 0.0), layout, features)
    random = torch.Generator().manual_seed(0)
    big = moment_loss(moments, layout)
    conditions = big._grid.repeat_interleave(4000, 0)
    weights = torch.tensor(np.repeat(moments.prior / 4000, 4000), dtype=torch.float32)
    with torch.no_grad():
        pairs, singles = big._residuals(pair.generator, conditions, weights, random)
        own = type(moments)(
            total=1.0,
            singles=(singles + big._singles).numpy().astype(np.float64),
            pairs=(pairs + big._pairs).numpy().astype(np.float64),
            prior=moments.prior,
            single_trust=1.0,
        )
        at_truth = moment_loss(own, layout)
        losses = np.array([float(at_truth(pair.generator, 24, random)) for _ in range(200)])
        assert abs(losses.mean()) < 5 * losses.std() / np.sqrt(200)
        assert float(big(pair.generator, 512, random)) > 10 * abs(losses.mean())


@pytest.mark.parametrize("sizes", [(2,), (3, 5, 2), (4, 1, 7)])
def test_the_padded_softmax_is_a_softmax_of_each_column(sizes):
    logits = torch.randn(6, sum(sizes), generator=torch.Generator().manual_seed(0))
    columns = ColumnSoftmax(sizes)
    slow = torch.cat([part.softmax(1) for part in logits.split(list(sizes), 1)], 1)
    assert torch.allclose(columns.probabilities(logits), slow)
    hard = columns.one_hot_sample(logits, torch.Generator().manual_seed(1))
    assert torch.allclose(hard.sum(1), torch.full((6,), float(len(sizes))))
    assert set(hard.round().unique().tolist()) <= {0.0, 1.0}
    codes = columns.codes(logits.repeat(3000, 1), torch.Generator().manual_seed(2))
    first = (codes[:, 0].view(3000, 6) == 0).float().mean(0)
    assert torch.allclose(first, slow[:, 0], atol=0.05)
