"""The feature map of images and signals: bounded whatever the record."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.modalities.array_features import ArrayFeatures
from common.modalities.array_layout import ArrayLayout
from common.modalities.frequencies import cosines, lowest
from common.modalities.views import random_view, views_of
from common.models.array_loss import ArrayMomentLoss
from common.phases import Views
from common.records import Records
from tests import toy_arrays

BYTES = (0.0, 255.0)
LAYOUTS = [
    ArrayLayout((1, 28, 28), 3, (BYTES,), True),
    ArrayLayout((3, 32, 32), 2, (BYTES,) * 3, True),
    ArrayLayout((1, 128, 128), 2, (BYTES,), True),
    ArrayLayout((1, 16), 2, ((-2.0, 2.0),), False),
    ArrayLayout((1, 128), 4, ((-2.0, 2.0),), False),
    ArrayLayout((12, 1201), 2, ((-5.0, 5.0),) * 12, False),
]


def features(layout: ArrayLayout, views: Views | None = None) -> ArrayFeatures:
    return ArrayFeatures(layout, coefficients=8, plain=30, windowed=20, views=views)


def rows(layout: ArrayLayout, count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    low, high = np.array(layout.bounds).T
    each = layout.values // len(layout.bounds)
    values = random.uniform(np.repeat(low, each), np.repeat(high, each), (count, layout.values))
    labels = random.integers(0, layout.classes, (count, 1))
    return np.concatenate([values, labels], axis=1).astype(np.uint8 if layout.whole else np.float32)


def phi(found: ArrayFeatures, record: np.ndarray) -> np.ndarray:
    return found.sum(record[None], np.ones(1))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: str(layout.shape))
def test_every_record_has_norm_one_in_its_own_block(layout):
    found = features(layout)
    extremes = np.stack([np.repeat(bound, layout.values) for bound in layout.bounds[0]])
    flat = np.concatenate([extremes, np.zeros((2, 1))], axis=1).astype(rows(layout, 1).dtype)
    for record in (*rows(layout, 5), *flat):
        vector = phi(found, record)
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-8)
        assert np.linalg.norm(vector) <= 1.0
        own = vector.reshape(layout.classes, -1)[int(record[-1])]
        assert np.linalg.norm(own) == pytest.approx(np.linalg.norm(vector))
        assert found.smallest <= vector.min()
        assert vector.max() <= found.largest


@pytest.mark.parametrize("layout", [LAYOUTS[0], LAYOUTS[4]], ids=lambda layout: str(layout.shape))
@pytest.mark.parametrize("views", [None, Views(count=3, flip=True, rotate=10.0, shift=2)])
def test_a_unit_moves_the_sum_by_at_most_one(layout, views):
    """Also with several records, and with several views of each."""
    if views and len(layout.shape) == 2:
        pytest.skip("views are for images")
    found = features(layout, views)
    unit = np.array([0, 0, 0, 1, 2, 2])
    records = Records.of(rows(layout, 6), unit)
    whole = found.sum(records.rows, records.weights)
    for gone in range(3):
        kept = Records.of(rows(layout, 6)[unit != gone], unit[unit != gone])
        moved = np.linalg.norm(whole - found.sum(kept.rows, kept.weights))
        assert 0 < moved <= 1.0 + (0.35 if views else 0.0)  # views are drawn anew: the others' change, too
    if views is None:
        careless = Records.of(rows(layout, 6))  # negative control: each record as if it were its own unit
        without = Records.of(rows(layout, 6)[unit != 0])
        moved = found.sum(careless.rows, careless.weights) - found.sum(without.rows, without.weights)
        assert np.linalg.norm(moved) > 1.0


def test_views_are_averaged_before_they_are_added():
    views = Views(count=5, flip=True, rotate=20.0, shift=3)
    found = features(LAYOUTS[0], views)
    for record in rows(LAYOUTS[0], 3):
        assert np.linalg.norm(phi(found, record)) <= 1.0
    summed = sum(phi(features(LAYOUTS[0], replace_count(views, 1)), rows(LAYOUTS[0], 1)[0]) for _ in range(5))
    assert np.linalg.norm(summed) > 2.0  # negative control: added up they would not be bounded


def replace_count(views: Views, count: int) -> Views:
    return views.model_copy(update={"count": count})


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.integers(0, 255), min_size=784, max_size=784),
    label=st.integers(0, 2),
)
def test_no_image_exceeds_the_bound(values, label):
    record = np.array([*values, label], np.uint8)
    assert np.linalg.norm(phi(features(LAYOUTS[0]), record)) <= 1.0


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: str(layout.shape))
def test_means_undo_the_weights_of_a_sum(layout):
    found, own = features(layout), rows(layout, 40)
    total = found.sum(own, np.ones(len(own)))
    assert found.counts(total) == pytest.approx(np.bincount(own[:, -1].astype(int), minlength=layout.classes))
    second, plain, windowed = found.means(total)
    values = torch.from_numpy(layout.scaled(own)).double()
    c = found.coefficients_of(values)
    mine = torch.from_numpy(own[:, -1]).long() == 1
    u = found.unit(c)[mine]
    assert torch.allclose(second[1].double(), u.T @ u / len(u), atol=1e-6)
    for target, phases in zip((plain, windowed), found.phases(values, c), strict=True):
        expected = torch.stack([phases[mine].cos().mean(0), phases[mine].sin().mean(0)])
        assert torch.allclose(target[1].double(), expected, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: str(layout.shape))
def test_low_frequencies_are_orthogonal_and_come_back(layout):
    low = lowest(layout, 8)
    gram = low.rows @ low.rows.T
    assert torch.allclose(gram, torch.diag(gram.diagonal()), atol=1e-10)
    c = torch.randn(3, len(low.degree), dtype=torch.float64)
    assert torch.allclose((c @ low.inverse) @ low.rows.T, c)


def test_cosines_are_the_dct_of_scipy():
    from scipy.fft import dct

    signal = np.random.default_rng(0).normal(size=20)
    assert cosines(20, 7).numpy() @ signal == pytest.approx(dct(signal, norm="ortho")[:7])


@pytest.mark.parametrize("kind", ["image", "signal"])
def test_the_loss_is_least_for_records_of_the_right_class(kind):
    arrays, schema = (
        (toy_arrays.digits(), toy_arrays.DIGITS)
        if kind == "image"
        else (toy_arrays.waves(), toy_arrays.WAVES)
    )
    layout = ArrayLayout.of(schema)
    found, own = features(layout), layout.to_rows(arrays)
    total = found.sum(own, np.ones(len(own)))
    batch = 60
    loss = ArrayMomentLoss(found, total, batch, torch.Generator().manual_seed(0))
    chosen = [np.nonzero(arrays.labels == label)[0][:batch] for label in range(schema.classes)]
    right = torch.from_numpy(layout.scaled(own[np.concatenate(chosen)]))
    wrong = torch.from_numpy(layout.scaled(own[np.concatenate(chosen[1:] + chosen[:1])]))
    same = right.view(schema.classes, batch, -1)[:, :1].expand(-1, batch, -1).reshape(right.shape)
    assert loss.of(right) < loss.of(wrong)
    assert loss.of(right) < loss.of(same)  # without variety


def test_the_loss_of_the_truth_is_unbiased_in_the_batch():
    """The same distribution costs the same whatever the batch; with a record's own term it would not."""
    arrays, layout = toy_arrays.waves(4000), ArrayLayout.of(toy_arrays.WAVES)
    found, own = features(layout), layout.to_rows(arrays)
    total, random = found.sum(own, np.ones(len(own))), np.random.default_rng(1)
    means = []
    for batch in (4, 64):
        loss = ArrayMomentLoss(found, total, batch, torch.Generator().manual_seed(0))
        drawn = []
        for _ in range(4000 // batch):
            picks = [random.choice(np.nonzero(arrays.labels == k)[0], batch, replace=False) for k in range(2)]
            drawn.append(float(loss.of(torch.from_numpy(layout.scaled(own[np.concatenate(picks)])))))
        means.append((np.mean(drawn), np.std(drawn) / math.sqrt(len(drawn))))
    (small, spread), (large, other) = means
    assert abs(small - large) < 5 * math.hypot(spread, other)


def test_rows_and_natural_values_are_inverse():
    for layout in LAYOUTS:
        own = rows(layout, 4)
        back = layout.natural(layout.scaled(own)).reshape(4, -1)
        assert back == pytest.approx(own[:, :-1], abs=1e-5)


def test_views_keep_labels_and_range():
    layout, views = LAYOUTS[0], Views(count=4, flip=True, rotate=30.0, shift=4)
    records = torch.cat([torch.rand(5, 784) * 2 - 1, torch.eye(3)[[0, 1, 2, 0, 1]]], dim=1)
    seen = views_of(records, views, layout, torch.Generator().manual_seed(0))
    assert seen.shape == (5, 4, 787)
    assert (seen[:, :, 784:] == records[:, None, 784:]).all()
    assert seen[:, :, :784].abs().max() <= 1 + 1e-5
    assert not torch.allclose(seen[:, 0], seen[:, 1])


def test_a_view_without_movement_is_the_image():
    images = torch.rand(3, 1, 28, 28)
    still = Views(count=1, flip=False, rotate=0.0, shift=0)
    assert (random_view(images, still, torch.Generator()) == images).all()


def test_a_dataclass_of_features_is_its_own_key():
    assert features(LAYOUTS[0]) == replace(features(LAYOUTS[0]))
