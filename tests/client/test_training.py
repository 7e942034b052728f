"""DP-SGD as Opacus does it here: sensitivity by neighbours, noise by statistics, with broken variants."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

from client import training
from common.contributions import counts, pairs
from common.csprng import Csprng
from common.errors import MalformedMessageError
from common.modalities.gram import GramFeatures
from common.modalities.grouping import Grouping
from common.modalities.histograms import HistogramFeatures
from common.modalities.layout import Layout
from common.modalities.tabular import encode
from common.models.pair import Pair, to_vector
from common.planning import make_plan
from common.records import Records
from common.states import RoundState, StepState
from tests import toy

SPLITS = [(), (4,), (5,), (4, 5)]
"""None, diagnosis, sex, both: positions in model order."""


class Quiet(Csprng):
    """No noise, everybody sampled: what is left is the clipped sum."""

    def gaussian(self, *shape: int) -> np.ndarray:
        return np.zeros(shape)

    def uniform(self, *shape: int) -> np.ndarray:
        return np.zeros(shape)


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    run = toy.run_folder(tmp_path_factory.mktemp("training") / "run")
    layout = Layout.of(toy.SCHEMA)
    codes = layout.to_model(encode(toy.records().drop(columns="hospital"), toy.SCHEMA))[:60]
    return run.plan, layout, codes


def gradient(plan, layout, codes, monkeypatch, *, fakes=20, one_step=True):
    """The privatised gradient of one step, recovered from the weights it moved."""
    pair = Pair.new(layout, plan.model, 0)
    train = plan.train.model_copy(update={"local_steps": 1, "fakes": fakes} if one_step else {})
    before = to_vector(pair.discriminator).astype(np.float64)
    prior = np.full(len(layout.condition_grid()), 1 / len(layout.condition_grid()))
    source = training.Fakes(pair.generator, layout, prior, torch.Generator().manual_seed(7))
    training.train_discriminator(pair.discriminator, Records.of(codes), layout, train, source)
    moved = before - to_vector(pair.discriminator)
    return moved * train.expected_batch_size / train.discriminator_learning_rate


def test_removing_any_record_moves_the_sum_by_at_most_the_clip(setting, monkeypatch):
    plan, layout, codes = setting
    monkeypatch.setattr(training, "Csprng", Quiet)
    whole = gradient(plan, layout, codes, monkeypatch)
    for index in (0, 17, 59):
        without = gradient(plan, layout, np.delete(codes, index, axis=0), monkeypatch)
        moved = np.linalg.norm(whole - without)
        assert 0 < moved <= plan.train.max_grad_norm * 1.001


def test_a_batch_of_fakes_of_the_realised_size_breaks_the_bound(setting, monkeypatch):
    """Negative control: as many fakes as records makes a neighbour's sum move by up to twice the clip."""
    plan, layout, codes = setting
    monkeypatch.setattr(training, "Csprng", Quiet)
    tight = plan.model_copy(update={"train": plan.train.model_copy(update={"max_grad_norm": 0.05})})
    moves = []
    for index in range(4):
        whole = gradient(tight, layout, codes, monkeypatch, fakes=len(codes))
        without = gradient(tight, layout, np.delete(codes, index, axis=0), monkeypatch, fakes=len(codes) - 1)
        moves.append(np.linalg.norm(whole - without))
    assert max(moves) > 0.05 * 1.05


def test_without_clipping_the_bound_would_not_hold(setting, monkeypatch):
    """Negative control: the same test catches an optimiser that does not clip."""
    plan, layout, codes = setting
    monkeypatch.setattr(training, "Csprng", Quiet)
    small = plan.model_copy(update={"train": plan.train.model_copy(update={"max_grad_norm": 0.01})})
    kept = gradient(small, layout, codes, monkeypatch) - gradient(small, layout, codes[1:], monkeypatch)
    assert np.linalg.norm(kept) <= 0.01 * 1.001
    broken = plan.model_copy(update={"train": plan.train.model_copy(update={"max_grad_norm": 1e6})})
    loose = gradient(broken, layout, codes, monkeypatch) - gradient(broken, layout, codes[1:], monkeypatch)
    assert np.linalg.norm(loose) > 0.01 * 1.001


def test_the_noise_of_a_step_has_the_promised_size(setting, monkeypatch):
    """The variance over parameters of (noisy - quiet) is (noise_multiplier * clip)**2; wrong ones fail."""
    plan, layout, codes = setting
    nobody = codes[:0]  # an empty Poisson batch: fakes and noise only
    noisy = gradient(plan, layout, nobody, monkeypatch)
    monkeypatch.setattr(training, "Csprng", Quiet)
    quiet = gradient(plan, layout, nobody, monkeypatch)
    measured = np.std(noisy - quiet)
    promised = plan.train.noise_multiplier * plan.train.max_grad_norm
    spread = 6 / np.sqrt(2 * len(noisy))
    assert abs(measured / promised - 1) < spread
    for wrong in (2 / 3, 3 / 2):
        assert abs(measured / (wrong * promised) - 1) > spread


def test_sampling_is_poisson_at_the_public_rate(setting, monkeypatch):
    plan, layout, codes = setting
    sizes = []
    original = training.record_tensor
    monkeypatch.setattr(training, "record_tensor", lambda c, lay: sizes.append(len(c)) or original(c, lay))
    many = plan.model_copy(
        update={"train": plan.train.model_copy(update={"local_steps": 200, "sample_rate": 0.3})}
    )
    gradient(many, layout, codes, monkeypatch, one_step=False)
    expected = 0.3 * len(codes)
    assert len(set(sizes)) > 5
    assert abs(np.mean(sizes) - expected) < 6 * np.sqrt(expected * 0.7 / 200)


def overflowing(layout, plan, target) -> Pair:
    """A pair whose discriminator overflows float64 on exactly one record and on no other."""
    pair = Pair.new(layout, plan.model, 0)
    offsets = np.concatenate([[0], np.cumsum(layout.sizes)])[:-1]
    pair.discriminator.double()
    with torch.no_grad():
        first = pair.discriminator.layers[0]
        first.weight.zero_()
        first.weight[0, torch.from_numpy(offsets + target)] = 1.79e308 / (len(layout.sizes) - 0.5)
    return pair


def test_no_state_turns_a_record_into_a_visible_overflow(setting, monkeypatch):
    """A record whose gradient is not finite counts as zero; otherwise all would turn into NaN."""
    plan, layout, codes = setting
    monkeypatch.setattr(training, "Csprng", Quiet)
    train = plan.train.model_copy(update={"local_steps": 1})
    for guarded in (True, False):
        pair = overflowing(layout, plan, codes[0])
        prior = np.full(len(layout.condition_grid()), 1 / len(layout.condition_grid()))
        source = training.Fakes(pair.generator, layout, prior, torch.Generator().manual_seed(7))
        with monkeypatch.context() as patch:
            if not guarded:
                patch.setattr(torch.Tensor, "isfinite", lambda self: torch.ones_like(self, dtype=torch.bool))
            training.train_discriminator(pair.discriminator, Records.of(codes), layout, train, source)
        assert bool(pair.discriminator.layers[-1].bias.isfinite().all()) == guarded


@pytest.mark.parametrize("value", [np.nan, np.inf, 2e4])
def test_states_that_could_overflow_are_refused(setting, value):
    plan, layout, _ = setting
    generator, discriminator = counts(toy.SCHEMA, plan)
    features = pairs(toy.SCHEMA, plan)
    grouping = Grouping.of_itself(toy.SCHEMA)
    grid, one = len(layout.condition_grid()), (features.classes, len(features.owner))
    fields = {
        "parameters": np.zeros(generator + discriminator, np.float32),
        "singles": np.zeros(one),
        "pairs": np.zeros((*one, one[1])),
        "single_precision": np.ones(one),
        "prior": np.full(grid, 1 / grid),
    }
    honest = RoundState(grouping=grouping, noise=0.1, **fields)
    RoundState.from_bytes(honest.to_bytes(), toy.SCHEMA, features)
    for name, field in fields.items():
        altered = field.copy()
        altered.flat[3] = value
        with pytest.raises(MalformedMessageError, match="beyond"):
            RoundState.from_bytes(replace(honest, **{name: altered}).to_bytes(), toy.SCHEMA, features)
    with pytest.raises(MalformedMessageError, match="beyond"):
        RoundState.from_bytes(replace(honest, noise=value).to_bytes(), toy.SCHEMA, features)
    weights = np.zeros(discriminator, np.float32)
    step = StepState(grouping=grouping, entered=weights)
    StepState.from_bytes(step.to_bytes(), toy.SCHEMA)
    weights[3] = value
    with pytest.raises(MalformedMessageError, match="beyond"):
        StepState.from_bytes(step.to_bytes(), toy.SCHEMA)


def encoded(count):
    """Codes in model order."""
    return Layout.of(toy.SCHEMA).to_model(encode(toy.records(count).drop(columns="hospital"), toy.SCHEMA))


def feature_maps():
    """Both sums of the first phases, the second with and without splitting conditions."""
    layout = Layout.of(toy.SCHEMA)
    second = [GramFeatures(layout, split, power) for split in SPLITS for power in (0.0, 0.3, 1.0)]
    return [HistogramFeatures(layout.sizes), *second]


@pytest.mark.parametrize("features", feature_maps(), ids=repr)
def test_the_feature_map_moves_by_exactly_its_sensitivity(features):
    codes = encoded(1200)
    whole = summed(features, codes)
    assert whole.shape == (features.count,)
    for index in (0, 5, 99):
        moved = np.linalg.norm(whole - summed(features, np.delete(codes, index, axis=0)))
        assert moved == pytest.approx(1.0, rel=1e-9)
    doubled = np.concatenate([codes, codes[:1], codes[:1]])  # control: two records move it further
    assert np.linalg.norm(summed(features, doubled) - whole) > 1.5
    alone = [summed(features, codes[i : i + 1]) for i in range(20)]
    assert np.max(alone) == pytest.approx(features.largest)
    assert np.min(alone) >= 0


@pytest.mark.parametrize("features", feature_maps(), ids=repr)
def test_removing_a_unit_moves_the_feature_map_by_at_most_its_sensitivity(features):
    """A subject's records share one weight of 1, however many they are; without weights the bound breaks."""
    codes = encoded(60)
    unit = np.minimum(np.arange(60), 30)  # the last one has 30 records
    records = Records.of(codes, unit)
    whole = features.sum(records.rows, records.weights)
    for gone in (0, 17, 30):
        rest = Records.of(codes[unit != gone], unit[unit != gone])
        assert rest.units == records.units - 1
        moved = np.linalg.norm(whole - features.sum(rest.rows, rest.weights))
        assert 0 < moved <= 1.0 + 1e-9
    unweighted = np.linalg.norm(summed(features, codes) - summed(features, codes[unit != 30]))
    assert unweighted > 1.5


def summed(features, codes):
    """Every record its own unit."""
    return features.sum(codes, np.ones(len(codes)))


def test_histograms_hold_every_count():
    codes = encoded(200)
    features = HistogramFeatures(Layout.of(toy.SCHEMA).sizes)
    for j, found in enumerate(features.counts(summed(features, codes))):
        assert np.allclose(found, np.bincount(codes[:, j], minlength=features.sizes[j]))
    ones = np.ones(features.count)  # noise of 1 in each coordinate
    for found, deviation in zip(features.counts(ones), features.deviations(1.0), strict=True):
        assert np.allclose(found, deviation)


@pytest.mark.parametrize("split", SPLITS)
def test_gram_features_hold_every_pair_count(split):
    layout, codes = Layout.of(toy.SCHEMA), encoded(200)
    features = GramFeatures(layout, split, 0.3)
    grams = features.matrices(summed(features, codes))
    shape = [layout.sizes[j] for j in split]
    assert len(grams) == features.classes == int(np.prod(shape))
    blocks = dict(zip(features.columns, features.blocks, strict=True))
    for number, values in enumerate(np.ndindex(*shape)):
        inside = np.all(codes[:, list(split)] == np.array(values, np.int64), axis=1)
        for i, j in permutations(blocks, 2):
            for a, b in np.ndindex(layout.sizes[i], layout.sizes[j]):
                count = (inside & (codes[:, i] == a) & (codes[:, j] == b)).sum()
                assert grams[number][blocks[i], blocks[j]][a, b] == pytest.approx(count, abs=1e-9)
        for block in blocks.values():
            assert not grams[number][block, block].any()
    assert grams.sum() == pytest.approx(len(codes) * len(blocks) * (len(blocks) - 1))


def test_plans_of_a_schema_differ_in_hash_when_anything_does(setting):
    plan, *_ = setting
    other = make_plan(toy.config(), toy.SCHEMA, plan.federation, run="another")
    assert other.hash != plan.hash
    assert plan.hash == type(plan).from_json(plan.to_json()).hash
