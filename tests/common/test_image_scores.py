"""Closed forms of the distances, and classifiers that learn digits but not shuffled labels."""

import numpy as np
import pytest
import torch
from scipy.special import gammaln
from sklearn.datasets import load_digits

from common.arrays import Arrays
from common.errors import TooFewRecordsError
from common.evaluation import classifiers
from common.evaluation.classifiers import fit, penultimate, predict, small_cnn, strong_cnn, weights_hash
from common.evaluation.image_scores import (
    domain_fid,
    image_scores,
    inception_like,
    prdc,
    recognised,
    sliced_wasserstein,
)

GRAY = (1, 28, 28)


@pytest.fixture(scope="module")
def digits() -> tuple[Arrays, Arrays, Arrays]:
    """Three disjoint sets of 28x28 digits: 900, 500 and 397 of them."""
    found = load_digits()
    images = (found.images * 15.9).astype(np.uint8).repeat(3, 1).repeat(3, 2)
    images = np.pad(images, ((0, 0), (2, 2), (2, 2)))[:, None]
    order = np.random.default_rng(0).permutation(len(images))
    everything = Arrays(images, found.target.astype(np.int64))
    return tuple(everything.take(rows) for rows in np.split(order, [900, 1400]))


@pytest.fixture(scope="module")
def learned(digits):
    train = digits[0]
    return fit(small_cnn(GRAY, 10, seed=1), train.values, train.labels, epochs=8, seed=1)


def made_up(count, shape, seed, classes=3) -> Arrays:
    """Images of one brightness a class, with noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    values = 60 + 60 * labels[:, None, None, None] + random.normal(0, 20, (count, *shape))
    return Arrays(values.clip(0, 255).astype(np.uint8), labels)


def test_the_small_net_learns_digits(digits, learned):
    test = digits[1]
    said = predict(learned, test.values)
    assert classifiers.accuracy(test.labels, said) > 0.9
    assert classifiers.macro_f1(test.labels, said) > 0.9
    assert recognised(learned, test) == classifiers.accuracy(test.labels, said)
    assert recognised(learned, Arrays(test.values, (test.labels + 1) % 10)) < 0.1


def test_nothing_is_learned_from_shuffled_labels(digits):
    train, test, _ = digits
    shuffled = np.random.default_rng(0).permutation(train.labels)
    network = fit(small_cnn(GRAY, 10, seed=1), train.values, shuffled, epochs=2, seed=1)
    assert classifiers.accuracy(test.labels, predict(network, test.values)) < 0.3


def test_the_strong_net_learns_digits(digits):
    train, test, _ = digits
    network = fit(strong_cnn(GRAY, 10, seed=0), train.values, train.labels, epochs=4, seed=0)
    assert classifiers.accuracy(test.labels, predict(network, test.values)) > 0.9


def test_features_are_what_the_last_layer_sees(digits, learned):
    values = digits[1].values[:60]
    features, given = penultimate(learned, values), classifiers.probabilities(learned, values)
    assert features.shape == (60, 64)
    assert features.dtype == np.float32
    with torch.no_grad():
        again = learned.head(torch.from_numpy(features)).softmax(1).numpy()
    np.testing.assert_allclose(again, given, atol=1e-6)
    np.testing.assert_allclose(given.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(given.argmax(1), predict(learned, values))


@pytest.mark.parametrize("make", [small_cnn, strong_cnn])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 40), (3, 128, 128)])
def test_any_size_from_28_to_128_pixels(make, shape):
    records = made_up(5, shape, 0)
    network = fit(make(shape, 3, seed=0), records.values, records.labels, epochs=1, seed=0)
    assert predict(network, records.values).shape == (5,)


@pytest.mark.parametrize("make", [small_cnn, strong_cnn])
def test_the_seed_decides_and_the_global_state_stays(make):
    records = made_up(130, GRAY, 0)  # two batches
    records.values.setflags(write=False)  # as a memory map may be
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    made = []
    for seeds in ((0, 0), (0, 0), (1, 0), (0, 1)):
        network = make(GRAY, 3, seed=seeds[0])
        made.append(weights_hash(fit(network, records.values, records.labels, epochs=1, seed=seeds[1])))
        torch.rand(1)
    assert made[0] == made[1]
    assert len(set(made)) == 3
    torch.manual_seed(3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_memory_layout_of_the_images_does_not_matter():
    records = made_up(200, GRAY, 0)
    found = set()
    for values in (
        records.values,
        records.values[:, 0].copy()[:, None],
        np.asfortranarray(records.values),
        np.ascontiguousarray(records.values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    ):
        found.add(weights_hash(fit(small_cnn(GRAY, 3, seed=0), values, records.labels, epochs=2, seed=0)))
    assert len(found) == 1


def test_the_hash_names_the_very_net():
    network = small_cnn(GRAY, 10, seed=0)
    first = weights_hash(network)
    assert first == weights_hash(small_cnn(GRAY, 10, seed=0))
    with torch.no_grad():
        network.head.bias[0] += 1e-6
    assert weights_hash(network) != first
    assert weights_hash(strong_cnn(GRAY, 10, seed=0)) != first


def test_shifted_images_are_the_images_moved():
    images = torch.arange(2 * 2 * 30 * 30).reshape(2, 2, 30, 30) % 251
    moved = classifiers._shifted(images.to(torch.uint8), 2)
    assert moved.shape == images.shape
    for before, after in zip(images, moved, strict=True):
        steps = [(y, x) for y in range(-2, 3) for x in range(-2, 3)]
        inner = [torch.roll(before, step, (1, 2))[:, 2:-2, 2:-2] for step in steps]
        assert sum(torch.equal(candidate.float(), after[:, 2:-2, 2:-2]) for candidate in inner) == 1


def test_smaller_sets_are_trained_for_as_many_steps():
    assert classifiers.epochs_for(20_000, 3) == 3
    assert classifiers.epochs_for(60_000, 2) == 2
    for count in (1, 100, 1797, 19_000):
        assert classifiers.epochs_for(count, 3) * -(-count // 128) >= 3 * 157
        assert (classifiers.epochs_for(count, 3) - 1) * -(-count // 128) < 3 * 157


def test_fid_of_gaussians_is_the_closed_form():
    random = np.random.default_rng(0)
    count, spread, other = 200_000, np.array([1.0, 2.0, 0.5]), np.array([2.0, 1.0, 0.5])
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    left = random.normal(size=(count, 3)) * spread @ turn.T
    right = (random.normal(size=(count, 3)) * other + np.array([1.0, -2.0, 0.0])) @ turn.T
    truth = 1 + 4 + ((spread - other) ** 2).sum()
    assert domain_fid(left, right) == pytest.approx(truth, rel=0.01)
    assert domain_fid(right, left) == pytest.approx(truth, rel=0.01)


def test_fid_where_covariances_do_not_commute():
    """Against the trace of the root of the product, whose eigenvalues are real and not below 0."""
    random = np.random.default_rng(1)
    left, right = (random.normal(size=(500, 6)) @ random.normal(size=(6, 6)) for _ in range(2))
    first, second = (np.cov(side, rowvar=False) for side in (left, right))
    root = np.sqrt(np.linalg.eigvals(first @ second).real).sum()
    apart = ((left.mean(0) - right.mean(0)) ** 2).sum()
    truth = apart + np.trace(first) + np.trace(second) - 2 * root
    assert domain_fid(left, right) == pytest.approx(truth, rel=1e-8)


def test_fid_of_one_set_with_itself_is_zero_even_if_flat():
    features = np.random.default_rng(0).normal(size=(40, 64))  # fewer records than features
    features[:, 5] = 1.0
    assert domain_fid(features, features) == pytest.approx(0, abs=1e-4)
    assert domain_fid(features, features + 2) == pytest.approx(64 * 4, rel=1e-5)
    with pytest.raises(TooFewRecordsError):
        domain_fid(features[:1], features)


def test_inception_like_counts_the_classes():
    assert inception_like(np.eye(7)[np.arange(70) % 7]) == pytest.approx(7)
    assert inception_like(np.eye(7)[np.zeros(70, int)]) == pytest.approx(1)
    assert inception_like(np.full((70, 7), 1 / 7)) == pytest.approx(1)
    assert inception_like(np.eye(7)[np.arange(70) % 2]) == pytest.approx(2)


def test_sliced_wasserstein_of_a_shift():
    """Every direction w sees |w . shift|; on the sphere in d dimensions its mean has a closed form."""
    random = np.random.default_rng(0)
    values, d = random.normal(size=(50, 1, 4, 5)), 20
    expected = 0.3 * np.sqrt(d) * np.exp(gammaln(d / 2) - gammaln((d + 1) / 2)) / np.sqrt(np.pi)
    assert sliced_wasserstein(values, values + 0.3, 20_000) == pytest.approx(expected, rel=0.02)
    assert sliced_wasserstein(values, values[::-1]) == pytest.approx(0, abs=1e-6)
    assert sliced_wasserstein(values, values + 0.3, seed=0) != sliced_wasserstein(
        values, values + 0.3, seed=1
    )


def test_sliced_wasserstein_scales_pixels():
    black, white = np.zeros((9, 1, 1, 1), np.uint8), np.full((6, 1, 1, 1), 255, np.uint8)
    assert sliced_wasserstein(black, white) == pytest.approx(2)


def test_prdc_of_equal_and_of_distant_sets():
    features = np.random.default_rng(0).normal(size=(300, 8))
    same = prdc(features, features)
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    assert same["density"] == pytest.approx(1, abs=0.25)
    apart = prdc(features, features + 100)
    assert apart == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_prdc_by_hand():
    """On a line, one neighbour: real 0, 1, 3 has radii 1, 1, 2; synthetic 1.5, 9 has radii 7.5."""
    found = prdc(np.array([[0.0], [1.0], [3.0]]), np.array([[1.5], [9.0]]), nearest=1)
    assert found == pytest.approx({"precision": 0.5, "recall": 1, "density": 2 / 2, "coverage": 2 / 3})


def test_prdc_tells_lost_modes_from_bad_records():
    random = np.random.default_rng(0)
    real = random.normal(size=(400, 4)) + 20 * (np.arange(400) % 2)[:, None]
    one_mode, noisy = random.normal(size=(400, 4)), np.concatenate([real[:200], real[:200] + 500])
    assert prdc(real, one_mode)["precision"] > 0.9
    assert prdc(real, one_mode)["coverage"] < 0.55
    assert prdc(real, noisy)["precision"] < 0.55


def test_good_images_score_like_real_ones_and_bad_ones_do_not(digits):
    train, synthetic, test = digits
    good = image_scores(synthetic, train, test, reference=1500)
    random = np.random.default_rng(0)
    bad = image_scores(
        Arrays(random.integers(256, size=synthetic.values.shape, dtype=np.uint8), synthetic.labels),
        train, test, reference=1500,
    )  # fmt: skip
    for name in ("accuracy", "macro_f1", "recognised", "precision", "recall", "coverage"):
        assert good[name] == pytest.approx(good[f"{name}_real"], abs=0.12), name
        assert bad[name] < good[name] - 0.3, name
    for name in ("domain_fid", "sliced_wasserstein"):
        assert good[name] < 2 * good[f"{name}_real"]
        assert bad[name] > 5 * good[name]
        assert bad[f"{name}_real"] == good[f"{name}_real"]
    assert good["accuracy_real"] > 0.8
    assert good["tstr_over_trtr"] == pytest.approx(good["macro_f1"] / good["macro_f1_real"])
    assert good["inception_like"] > 5
    assert good["records_classifier"] == good["records_classifier_real"] == 500
    assert good["records_distances"] == 397
    assert good["feature_net"] == bad["feature_net"]
    assert good["classifier"] == "small-cnn"
    assert good["classifier_weights_real"] == bad["classifier_weights_real"] != good["classifier_weights"]
    assert good["classifier_weights"] != bad["classifier_weights"]


def test_large_colour_images_and_the_strong_net():
    shape = (3, 128, 128)
    sides = [made_up(9, shape, seed) for seed in range(3)]
    scores = image_scores(*sides, reference=9)
    assert np.isfinite([v for v in scores.values() if isinstance(v, float)]).all()
    small = [made_up(15, (3, 28, 28), seed) for seed in range(3)]
    first, again, other = (image_scores(*small, seed, strong=True, reference=15) for seed in (0, 0, 1))
    assert first == again
    assert first["feature_net"] != other["feature_net"]
    assert {"accuracy_strong", "accuracy_strong_real", "classifier_weights_strong"} <= set(first)
    assert first["classifier_strong"] == "strong-cnn"
    with pytest.raises(TooFewRecordsError):
        image_scores(small[0].take(np.arange(1)), *small[1:])
