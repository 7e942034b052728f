"""Wide tables: some pairs of columns are measured, with the same sensitivity, and what they say is learnt."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from common.bench.central import synthesise
from common.bench.growth.axes import wide
from common.columns import CategoryColumn
from common.config import Data, Federation, Model, Privacy, Release, SimulationConfig, Sites, Training
from common.contributions import measured, pairs
from common.modalities.gram import GramFeatures
from common.modalities.layout import Layout
from common.modalities.neighbours import NeighbourFeatures, cells
from common.models.moment_loss import MomentLoss
from common.models.neighbour_loss import NeighbourLoss
from common.models.pair import Pair
from common.phases import Measure
from common.planning import make_plan, stand_in
from common.schema import TableSchema
from server.moments import OneWay, estimate

LAYOUT = Layout((3, 2, 4, 2, 5, 3), (2, 3), tuple(range(8)))
SPLITS = [(), (6,), (6, 7)]


def records(count, seed=0):
    random = np.random.default_rng(seed)
    return np.stack([random.integers(0, size, count) for size in LAYOUT.sizes], axis=1)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("neighbours", [1, 2, 4])
def test_a_record_moves_the_sum_by_exactly_one(split, neighbours):
    phi = NeighbourFeatures(LAYOUT, split, 0.25, neighbours=neighbours)
    codes = records(30)
    for record in codes:
        assert np.linalg.norm(phi.sum(record[None], np.ones(1))) == pytest.approx(1.0, abs=1e-12)
    without = phi.sum(codes[1:], np.ones(29))
    assert np.linalg.norm(phi.sum(codes, np.ones(30)) - without) == pytest.approx(1.0, abs=1e-12)
    assert phi.sum(codes, np.ones(30)).max() <= 30 * phi.largest
    assert len(without) == phi.count


def test_weights_of_all_pairs_would_waste_budget_on_some():
    """Negative control: what is scaled for all pairs moves by less, so that its noise would be too large."""
    phi = NeighbourFeatures(LAYOUT, (), 0.25, neighbours=1)
    every = GramFeatures(LAYOUT, (), 0.25)
    kept = np.isin(np.stack(every.indices).T @ (1000, 1), np.stack(phi.indices).T @ (1000, 1))
    assert np.linalg.norm(every.sum(records(1), np.ones(1))[kept]) < 0.9


@pytest.mark.parametrize("split", SPLITS)
def test_with_enough_neighbours_it_is_the_map_of_all_pairs(split):
    phi, every = NeighbourFeatures(LAYOUT, split, 0.25, neighbours=8), GramFeatures(LAYOUT, split, 0.25)
    codes, weights = records(50), np.repeat(0.5, 50)
    assert np.allclose(phi.sum(codes, weights), every.sum(codes, weights), rtol=0, atol=1e-12)
    assert phi.typical == pytest.approx(every.typical)


def test_what_is_measured_is_neighbours_and_all_pairs_with_a_condition():
    phi = NeighbourFeatures(LAYOUT, (6,), 0.25, neighbours=2)
    found = {(i, j) for i, j in zip(*np.nonzero(np.triu(phi.measured)), strict=True)}
    near = {(i, j) for i in range(6) for j in range(i + 1, 6) if j - i <= 2}
    assert found == near | {(i, 6) for i in range(6)}  # position 6 is the condition that does not split
    assert phi.count == 2 * cells(list(LAYOUT.generated), [3], 2)
    counts = phi.matrices(phi.sum(records(40), np.ones(40)))
    assert counts[:, phi.blocks[0], phi.blocks[2]].sum() == pytest.approx(40)
    assert counts[:, phi.blocks[0], phi.blocks[3]].sum() == 0


@pytest.mark.parametrize("split", SPLITS)
def test_the_loss_of_strips_is_the_loss_of_the_whole_matrix(split):
    phi = NeighbourFeatures(LAYOUT, split, 0.25, neighbours=2)
    codes = records(400)
    total = phi.sum(codes, np.ones(400)) + np.random.default_rng(1).normal(0, 0.1, phi.count)
    singles = OneWay(
        [np.bincount(codes[:, j], minlength=LAYOUT.sizes[j]).astype(float) for j in phi.columns],
        [np.ones(LAYOUT.sizes[j]) for j in phi.columns],
    )
    moments = estimate(total, phi, 0.1, singles)
    given = (moments.singles, moments.pairs, moments.single_precision, moments.pair_precision, moments.noise)
    plan = plan_of(wide(8))
    generator = Pair.new(LAYOUT, plan.model, seed=0).generator
    losses = [kind(phi, *given, moments.prior)(generator) for kind in (MomentLoss, NeighbourLoss)]
    assert torch.allclose(*losses, rtol=1e-4)
    gradients = [torch.autograd.grad(loss, generator.output.bias)[0] for loss in losses]
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-4 * float(gradients[0].abs().max()))


def plan_of(schema, **training):
    config = SimulationConfig(
        name="wide",
        data=Data(table="t.parquet", schema="s.toml"),
        release=Release(holdout=0.0, evaluate_share=0.0),
        sites=Sites(count=3),
        federation=Federation(threshold=2),
        privacy=Privacy(epsilon=10.0, delta=1e-5),
        model=Model(latent=8, latents=128, generator_hidden=(16,), discriminator_hidden=(16,)),
        training=Training(records_per_site=1000, fit_steps=150, **training),
    )
    return make_plan(config, schema, stand_in(config), "wide")


def test_a_plan_says_which_pairs_only_where_not_all_fit():
    small = plan_of(wide(30))
    assert small.measure.neighbours is None
    assert type(pairs(wide(30), small)) is GramFeatures  # as ever
    large = plan_of(wide(300))
    assert isinstance(large.measure, Measure)
    assert large.measure.neighbours > 1
    assert b'"neighbours":%d' % large.measure.neighbours in large.to_json()
    assert type(large).from_json(large.to_json()) == large
    phi = measured(wide(300), large)
    assert (1 << 19) < phi.count <= 1 << 20
    more = large.measure.model_copy(update={"neighbours": large.measure.neighbours + 1})
    assert pairs(wide(300), large.model_copy(update={"measure": more})).count > 1 << 20


def test_a_dependence_between_neighbours_is_learnt_and_one_far_apart_is_not():
    names = [f"c{i}" for i in range(4)]
    columns = [CategoryColumn(name=name, categories=("a", "b", "c")) for name in names]
    label = CategoryColumn(name="label", categories=("no", "yes"), condition=True)
    schema = TableSchema(name="chain", columns=(*columns, label))
    random = np.random.default_rng(0)
    codes = random.integers(0, 3, (3000, 4))
    codes[:, 1] = codes[:, 3] = codes[:, 0]  # a neighbour, and one that is not
    frame = pd.DataFrame(np.array(["a", "b", "c"])[codes], columns=names)
    frame["label"] = random.choice(["no", "yes"], 3000)
    drawn = synthesise(frame, schema, plan_of(schema, neighbours=1), least=3000)
    near, far = (float((drawn[a] == drawn[b]).mean()) for a, b in (("c0", "c1"), ("c0", "c3")))
    assert near > 0.7
    assert far < 0.5  # a third is chance


def test_noise_that_is_not_there_is_told_apart_from_noise_of_no_end():
    phi = NeighbourFeatures(LAYOUT, (), 0.25, neighbours=1)
    spread = phi.spread(2.0)
    assert np.isinf(spread[0, 3])
    assert spread[0, 1] == 2.0 / phi.pair_weights[0, 1]
    assert np.isfinite(replace(phi, neighbours=8).spread(2.0)[0, 3])
