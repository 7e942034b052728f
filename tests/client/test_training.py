"""DP-SGD as Opacus does it here: sensitivity by neighbours, noise by statistics, with broken variants."""

import numpy as np
import pytest
import torch

from client import training
from common.contributions import TrainEncoding, TrainState
from common.csprng import Csprng
from common.errors import MalformedMessageError
from common.modalities.layout import Layout
from common.modalities.tabular import GramFeatures, encode
from common.models.pair import Pair, to_vector
from common.planning import make_plan
from tests import toy


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
    training.train_discriminator(pair.discriminator, codes, layout, train, source)
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
    original = training._one_hot
    monkeypatch.setattr(training, "_one_hot", lambda c, lay: sizes.append(len(c)) or original(c, lay))
    many = plan.model_copy(
        update={"train": plan.train.model_copy(update={"local_steps": 200, "sample_rate": 0.3})}
    )
    gradient(many, layout, codes, monkeypatch, one_step=False)
    expected = 0.3 * len(codes)
    assert len(set(sizes)) > 5
    assert abs(np.mean(sizes) - expected) < 6 * np.sqrt(expected * 0.7 / 200)


def overflowing(layout, plan, target) -> Pair:
    """A pair whose discriminator overflows float32 on exactly one record and on no other."""
    pair = Pair.new(layout, plan.model, 0)
    offsets = np.concatenate([[0], np.cumsum(layout.sizes)])[:-1]
    with torch.no_grad():
        first = pair.discriminator.layers[0]
        first.weight.zero_()
        first.weight[0, torch.from_numpy(offsets + target)] = 3.4e38 / (len(layout.sizes) - 0.5)
    return pair


def test_no_state_turns_a_record_into_a_visible_overflow(setting, monkeypatch):
    """A record whose gradient is not finite counts as zero; Opacus alone would turn all into NaN."""
    plan, layout, codes = setting
    monkeypatch.setattr(training, "Csprng", Quiet)
    train = plan.train.model_copy(update={"local_steps": 1})
    for guarded in (True, False):
        pair = overflowing(layout, plan, codes[0])
        before = to_vector(pair.discriminator)
        prior = np.full(len(layout.condition_grid()), 1 / len(layout.condition_grid()))
        source = training.Fakes(pair.generator, layout, prior, torch.Generator().manual_seed(7))
        with monkeypatch.context() as patch:
            if not guarded:
                patch.delattr(training.CsprngDPOptimizer, "clip_and_accumulate")
            training.train_discriminator(pair.discriminator, codes, layout, train, source)
        assert np.isfinite(to_vector(pair.discriminator) - before).all() == guarded


@pytest.mark.parametrize("value", [np.nan, np.inf, 2e4])
def test_states_that_could_overflow_are_refused(setting, value):
    plan, layout, _ = setting
    encoding = TrainEncoding(toy.SCHEMA, plan)
    parameters = np.zeros(sum(encoding.counts), np.float32)
    parameters[3] = value
    grid = len(layout.condition_grid())
    state = TrainState(
        parameters=parameters,
        singles=np.zeros(layout.width),
        pairs=np.zeros((layout.width, layout.width)),
        prior=np.full(grid, 1 / grid),
    )
    with pytest.raises(MalformedMessageError, match="beyond"):
        TrainState.from_bytes(state.to_bytes(), layout)


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.0])
def test_the_feature_map_moves_by_exactly_its_sensitivity(weight):
    layout = Layout.of(toy.SCHEMA)
    codes = layout.to_model(encode(toy.records().drop(columns="hospital"), toy.SCHEMA))
    features = GramFeatures(layout.sizes, weight)
    whole = features.sum(codes)
    for index in (0, 5, 99):
        moved = np.linalg.norm(whole - features.sum(np.delete(codes, index, axis=0)))
        assert moved == pytest.approx(features.l2_sensitivity, rel=1e-9)
    doubled = np.concatenate([codes, codes[:1], codes[:1]])  # control: two records move it further
    assert np.linalg.norm(features.sum(doubled) - whole) > features.l2_sensitivity * 1.5


def test_gram_features_hold_every_pair_count():
    layout = Layout.of(toy.SCHEMA)
    codes = layout.to_model(encode(toy.records(200).drop(columns="hospital"), toy.SCHEMA))
    features = GramFeatures(layout.sizes, 2.0)
    gram = features.matrix(features.sum(codes))
    offsets = features.offsets
    for i, j, a, b in ((0, 2, 1, 3), (1, 4, 0, 2), (3, 5, 2, 1)):
        assert gram[offsets[i] + a, offsets[j] + b] == ((codes[:, i] == a) & (codes[:, j] == b)).sum()
        assert gram[offsets[i] + a, offsets[i] + a] == (codes[:, i] == a).sum()


def test_plans_of_a_schema_differ_in_hash_when_anything_does(setting):
    plan, *_ = setting
    other = make_plan(toy.config(), toy.SCHEMA, plan.federation, run="another")
    assert other.hash != plan.hash
    assert plan.hash == type(plan).from_json(plan.to_json()).hash
