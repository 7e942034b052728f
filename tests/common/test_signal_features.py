"""Features against closed forms and scipy, the views that compare, and a classifier's verdict."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from PIL import Image

from common.arrays import Arrays
from common.columns import CategoryColumn
from common.errors import TooFewRecordsError
from common.evaluation.signal_features import BANDS, FEATURES, features, table
from common.evaluation.signal_scores import signal_scores
from common.evaluation.signal_views import components, overlay, side_by_side, tstr
from common.schema import Channel, SignalSchema


def schema(channels=1, length=128, classes=("calm", "fast")):
    return SignalSchema(
        name="beats",
        kind="signal",
        sampling_rate=64.0,
        length=length,
        label=CategoryColumn(name="rhythm", categories=classes, condition=True),
        channels=tuple(Channel(name=f"c{n}", unit="mV", bounds=(-9, 9)) for n in range(channels)),
    )


def records(count, channels=1, length=128, classes=2, seed=0):
    """Sines of 2, 5, 8 … Hz by class, with random phase and noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    phase = random.uniform(0, 1, (count, channels, 1))
    seconds = np.arange(length) / 64
    values = np.sin(2 * np.pi * ((2 + 3 * labels)[:, None, None] * seconds + phase * 0.2))
    values = values + random.normal(0, 0.3, values.shape)
    return Arrays(values.astype(np.float32), labels)


def named(signals, rate=64.0):
    values = features(signals, rate)
    assert values.shape == (len(signals), signals.shape[1] * len(FEATURES))
    return {name: values[0, place] for place, name in enumerate(FEATURES)}


@pytest.mark.parametrize("cycles", [1, 4, 5, 16, 40])
def test_a_sine_has_the_features_of_the_textbook(cycles):
    amplitude, length, rate = 3.0, 128, 64.0
    phase = 2 * np.pi * cycles * np.arange(length) / length
    found = named((amplitude * np.cos(phase))[None, None], rate)
    frequency = cycles * rate / length
    assert found["mean"] == pytest.approx(0, abs=1e-12)
    assert found["variance"] == pytest.approx(amplitude**2 / 2)
    assert found["rms"] == pytest.approx(amplitude / np.sqrt(2))
    assert found["crest_factor"] == pytest.approx(np.sqrt(2))
    assert found["kurtosis"] == pytest.approx(-1.5)
    assert found["spectral_centroid"] == pytest.approx(frequency)
    assert found["median_frequency"] == pytest.approx(frequency)
    powers = [found[name] for name in FEATURES if name.startswith("power")]
    band = next(n for n, (a, b) in enumerate(pairwise(BANDS)) if a < frequency / 32 <= b)
    assert powers[band] == pytest.approx(amplitude**2 / 2)
    assert sum(powers) == pytest.approx(amplitude**2 / 2)


@pytest.mark.parametrize(("channels", "length"), [(1, 128), (3, 1201), (12, 129)])
def test_moments_are_those_of_scipy_and_bands_add_up_to_the_variance(channels, length):
    signals = np.random.default_rng(1).gamma(2.0, 1.0, (5, channels, length))
    found = features(signals, 360.0).reshape(5, channels, -1)
    by_name = {name: found[:, :, place] for place, name in enumerate(FEATURES)}
    assert np.allclose(by_name["mean"], signals.mean(axis=2))
    assert np.allclose(by_name["variance"], signals.var(axis=2))
    assert np.allclose(by_name["skewness"], scipy.stats.skew(signals, axis=2))
    assert np.allclose(by_name["kurtosis"], scipy.stats.kurtosis(signals, axis=2))
    powers = np.stack([by_name[name] for name in FEATURES if name.startswith("power")])
    assert np.allclose(powers.sum(axis=0), signals.var(axis=2))
    assert np.allclose(features(signals[:, 1:2], 360.0), found[:, 1]) if channels > 1 else True


@pytest.mark.parametrize("level", [0.0, 0.1, -7.3, 1e30])
def test_a_constant_signal_has_no_shape_and_no_spectrum(level):
    found = named(np.full((1, 1, 1201), level))
    assert found["mean"] == pytest.approx(level)
    assert found["crest_factor"] == (pytest.approx(1) if level else 0)
    zero = set(FEATURES) - {"mean", "rms", "crest_factor"}
    assert all(found[name] == 0 for name in zero)


@given(
    arrays_of.arrays(
        np.float32, (2, 2, 33), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    )
)
@settings(max_examples=80, deadline=None)
def test_features_are_finite_for_any_finite_signal(signals):
    found = features(signals, 100.0)
    assert np.isfinite(found).all()
    assert (found.reshape(2, 2, -1)[:, :, FEATURES.index("median_frequency")] <= 50).all()


def test_the_table_puts_both_sides_beside_one_another():
    real = records(20, channels=2)
    generated = real.take(np.flatnonzero(real.labels == 0))
    made = table(real, generated, schema(channels=2))
    assert len(made) == 2 * 2 * len(FEATURES)
    calm = made[made.rhythm == "calm"]
    assert np.allclose(calm.real_mean, calm.generated_mean)
    assert np.allclose(calm.real_std, calm.generated_std)
    assert made[made.rhythm == "fast"].generated_mean.isna().all()
    row = made[(made.rhythm == "fast") & (made.channel == "c1") & (made.feature == "rms")].iloc[0]
    rms = np.sqrt((real.values[real.labels == 1, 1].astype(float) ** 2).mean(axis=1))
    assert row.real_mean == pytest.approx(rms.mean())
    assert row.real_std == pytest.approx(rms.std())


def test_main_components_are_fitted_to_real_records_alone(tmp_path):
    real, generated = records(40, classes=3), records(30, classes=3, seed=1)
    found = overlay(real, generated, schema(classes=("a", "b", "$c_")), tmp_path / "pca.png")
    assert found.real.shape == (40, 2)
    assert found.generated.shape == (30, 2)
    assert 0 < found.shares[1] <= found.shares[0] < 1
    assert np.allclose(found.real.mean(axis=0), 0)
    alone = components(features(real.values, 64.0), features(real.values, 64.0) + 5)
    assert np.allclose(alone.real, found.real)
    with Image.open(tmp_path / "pca.png") as image:
        assert image.info["Software"] == "fedcgan"
        assert "Synthetic" not in image.info  # it shows real records, too
        assert len(np.unique(np.asarray(image))) > 2


def test_main_components_of_equal_records_and_of_one_record():
    same = components(np.ones((4, 3)), np.zeros((2, 3)))
    assert np.isfinite(same.generated).all()
    assert (same.shares == 0).all()
    with pytest.raises(TooFewRecordsError):
        components(np.ones((1, 3)), np.ones((1, 3)))


@pytest.mark.parametrize(("channels", "classes"), [(1, ("calm", "fast")), (3, ("a", "b", "c", "$^x"))])
def test_both_sides_are_drawn_for_each_class_even_an_empty_one(tmp_path, channels, classes):
    real = records(30, channels, classes=len(classes))
    generated = real.take(real.labels == 0)
    side_by_side(
        real, generated, schema(channels, classes=classes), tmp_path / "four.png", channel=channels - 1
    )
    with Image.open(tmp_path / "four.png") as image:
        assert image.format == "PNG"
        assert "Synthetic" not in image.info


def test_records_as_good_as_real_ones_teach_as_much_and_shuffled_labels_do_not():
    train, test = records(80), records(60, seed=1)
    same = tstr(train, train, test)
    wrong = Arrays(train.values, np.random.default_rng(2).permutation(train.labels))
    shuffled = tstr(wrong, train, test)
    for name in ("trees", "logistic"):
        assert same[name]["ratio"] == pytest.approx(1)
        assert same[name]["real_accuracy"] > 0.9
        assert shuffled[name]["ratio"] < 0.85
        assert shuffled[name]["real_macro_f1"] == same[name]["real_macro_f1"]


def test_one_class_only_teaches_to_say_that_class():
    train, test = records(40), records(40, seed=1)
    scores = tstr(train.take(train.labels == 1), train, test)["trees"]
    assert scores["synthetic_accuracy"] == 0.5
    assert scores["synthetic_macro_f1"] == pytest.approx(1 / 3)
    never = tstr(train, train.take(train.labels == 0), test.take(test.labels == 1))["trees"]
    assert never["ratio"] is None
    with pytest.raises(TooFewRecordsError):
        tstr(train.take(train.labels > 1), train, test)


def test_good_signals_score_like_real_ones_and_others_do_not():
    train, test = records(80), records(60, seed=1)
    good = signal_scores(records(80, seed=2), train, test, schema())
    flat = Arrays(np.zeros_like(train.values), train.labels)
    bad = signal_scores(flat, train, test, schema())
    for name in ("domain_fid", "sliced_wasserstein"):
        assert good[name] < 0.5 * bad[name], name
        assert good[f"{name}_real"] == bad[f"{name}_real"]
    assert good["coverage"] > 0.8
    assert bad["coverage"] < 0.2
    assert good["recognised"] > 0.9
    assert bad["recognised"] < 0.6
    assert good["feature_net"] == "signal-features"


def test_hashes_name_the_very_classifiers():
    train, other, test = records(80), records(80, seed=2), records(60, seed=1)
    one, same, another = (tstr(side, train, test) for side in (train, train, other))
    for name in ("trees", "logistic"):
        assert one[name] == same[name]
        assert one[name]["synthetic_weights"] == one[name]["real_weights"]
        assert another[name]["synthetic_weights"] != another[name]["real_weights"]
    alone = tstr(train.take(train.labels == 1), train, test)
    assert alone["trees"]["synthetic_weights"] is None
