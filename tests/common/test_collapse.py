"""A healthy generator raises no alarm, each broken one its own; for images, RGB images and signals."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from common.evaluation.collapse import CollapseReport, monitor

CLASSES = 4
PRIOR = np.full(CLASSES, 1 / CLASSES)
SHAPES = {"image": (1, 28, 28), "rgb": (3, 64, 64), "signal": (2, 96)}


class Toy:
    """A linear generator: classes have a centre each, and 6 latent directions around it."""

    def __init__(self, kind: str) -> None:
        self.random = np.random.default_rng(7)
        self.shape = SHAPES[kind]
        self.kind = kind
        self.centres = self._smooth(CLASSES)
        self.axes = self._smooth(6)

    def _smooth(self, count):
        """Random records whose neighbouring numbers agree, of standard deviation around 1."""
        raw = self.random.normal(size=(count, *self.shape))
        for axis in range(2, raw.ndim):
            raw = sum(np.roll(raw, step, axis) for step in range(6)) / np.sqrt(6)
        return raw

    def draw(self, labels, latent=None):
        latent = self.random.normal(size=(len(labels), 6)) if latent is None else latent
        return self.file(self.centres[labels] + 0.5 * np.tensordot(latent, self.axes, 1))

    def file(self, values):
        if self.kind == "signal":
            scale = np.array([1.0, 1000.0])[:, None]  # two units
            return (values * scale).astype(np.float32)
        return (values * 30 + 128).clip(0, 255).round().astype(np.uint8)


@pytest.fixture(params=SHAPES)
def toy(request):
    return Toy(request.param)


@pytest.fixture
def labels():
    return np.arange(240) % CLASSES


def kinds(report: CollapseReport) -> set[tuple[int | None, str]]:
    return {(alarm.class_index, alarm.kind) for alarm in report.alarms}


def test_a_healthy_generator_raises_no_alarm(toy, labels):
    report = monitor(toy.draw(labels), labels, PRIOR)
    assert report.alarms == ()
    assert report.covered == 1.0
    assert report.deviation == 0.0
    assert report.counts.tolist() == [60] * CLASSES
    assert ((report.nearest > 0) & (report.nearest < report.pairwise)).all()
    np.testing.assert_allclose(report.diversity, 1, atol=0.25)
    assert report.separation > report.by_chance


def test_real_digits_raise_no_alarm():
    digits = load_digits()
    images = (digits.images[:, None] * 15.9).astype(np.uint8).repeat(3, 2).repeat(3, 3)
    report = monitor(images, digits.target, np.bincount(digits.target) / len(digits.target))
    assert report.alarms == ()


def test_signals_that_differ_in_frequency_only_raise_no_alarm(labels):
    """Random phase: the means of all classes are alike, the classes are not."""
    random = np.random.default_rng(0)
    seconds = np.arange(128) / 64
    turns = (2 + 3 * labels)[:, None, None] * seconds + random.uniform(0, 1, (len(labels), 1, 1))
    signals = np.sin(2 * np.pi * turns) + random.normal(0, 0.2, turns.shape)
    assert monitor(signals.astype(np.float32), labels, PRIOR).alarms == ()


def test_one_output_for_everything(toy, labels):
    values = toy.draw(np.zeros_like(labels), np.ones((len(labels), 6)))
    report = monitor(values, labels, PRIOR)
    assert kinds(report) == {(None, "frozen"), (None, "ignores-label")}
    assert report.pairwise.max() == 0.0


@pytest.mark.parametrize("noise", [0.0, 5e-3])
def test_one_output_for_each_class(toy, labels, noise):
    """The label works, the noise has no effect or an invisible one."""
    latent = 1 + noise * toy.random.normal(size=(len(labels), 6))
    report = monitor(toy.draw(labels, latent), labels, PRIOR)
    assert kinds(report) == {(None, "frozen")}


@pytest.mark.parametrize("noise", [0.0, 1e-2])
def test_one_class_is_constant(toy, labels, noise):
    latent = toy.random.normal(size=(len(labels), 6))
    latent[labels == 2] = noise * latent[labels == 2] + 0.3
    report = monitor(toy.draw(labels, latent), labels, PRIOR)
    assert kinds(report) == {(2, "collapsed")}
    assert report.diversity[2] < 0.05


def test_one_class_is_poor(toy, labels):
    """A sixth of the variety of the others, but no copies; half of it is nothing to report."""
    latent = toy.random.normal(size=(len(labels), 6))
    for scale, found in ((1 / 2, set()), (1 / 6, {(2, "collapsed")})):
        scaled = np.where((labels == 2)[:, None], scale * latent, latent)
        assert kinds(monitor(toy.draw(labels, scaled), labels, PRIOR)) == found


def test_most_classes_are_constant(toy, labels):
    """The median class is a collapsed one: still the collapsed are named, not the healthy one."""
    latent = toy.random.normal(size=(len(labels), 6))
    latent[labels != 1] *= 1e-2
    assert kinds(monitor(toy.draw(labels, latent), labels, PRIOR)) == {(c, "collapsed") for c in (0, 2, 3)}


def test_the_label_is_ignored(toy, labels):
    report = monitor(toy.draw(toy.random.permutation(labels)), labels, PRIOR)
    assert kinds(report) == {(None, "ignores-label")}
    assert report.separation <= report.by_chance


def test_labels_that_matter_to_a_third_are_not_ignored(toy, labels):
    used = np.where(np.arange(len(labels)) % 3 == 0, labels, toy.random.permutation(labels))
    assert kinds(monitor(toy.draw(used), labels, PRIOR)) == set()


def test_a_class_is_missing(toy, labels):
    kept = labels[labels != 3]
    report = monitor(toy.draw(kept), kept, PRIOR)
    assert kinds(report) == {(3, "missing")}
    assert report.covered == pytest.approx(0.75)
    assert report.deviation == pytest.approx(0.25)
    assert np.isnan(report.pairwise[3])


def test_a_class_without_mass_or_too_rare_to_expect_is_not_missing(toy, labels):
    values = toy.draw(labels)
    assert monitor(values, labels, np.array([1.0, 1, 1, 1, 0])).alarms == ()
    rare = monitor(values, labels, np.array([1.0, 1, 1, 1, 0.01]))
    assert rare.alarms == ()
    assert rare.covered == pytest.approx(4 / 4.01)


@pytest.mark.parametrize("noise", [0.0, 5e-3])
def test_five_prototypes_a_class_repeated_with_tiny_noise(toy, labels, noise):
    five = toy.random.normal(size=(5, 6))[toy.random.integers(5, size=len(labels))]
    values = toy.draw(labels, five + noise * toy.random.normal(size=five.shape))
    report = monitor(values, labels, PRIOR)
    assert kinds(report) == {(c, "collapsed") for c in range(CLASSES)}
    assert (report.copies > 0.9).all()
    assert "copies" in report.alarms[0].advice


def test_prototypes_under_noise_of_single_pixels(labels):
    """Averaging over squares sees through it."""
    toy = Toy("image")
    five = toy.random.normal(size=(5, 6))[toy.random.integers(5, size=len(labels))]
    noisy = toy.draw(labels, five) + toy.random.normal(0, 1, (len(labels), *toy.shape))
    report = monitor(noisy.clip(0, 255).round().astype(np.uint8), labels, PRIOR)
    assert {kind for _, kind in kinds(report)} == {"collapsed"}


def test_distances_of_known_records():
    """Two classes of 8 equal records but one: distances in [-1, 1] are 2 and 0."""
    values = np.zeros((16, 1, 16, 16), np.uint8)
    values[0] = 255
    values[8:] = 255
    values[8] = 0
    report = monitor(values, np.arange(16) // 8, np.ones(2))
    assert report.nearest.tolist() == [0.0, 0.0]
    np.testing.assert_allclose(report.pairwise, 2 * 7 / 28)
    np.testing.assert_allclose(report.copies, 7 / 8)
    assert {kind for _, kind in kinds(report)} == {"collapsed"}


def test_few_records_say_nothing(toy):
    labels = np.arange(12) % CLASSES
    report = monitor(toy.draw(labels), labels, PRIOR)
    assert report.alarms == ()
    assert np.isnan(report.pairwise).all()
    assert np.isnan(report.separation)


def test_units_of_signals_do_not_matter(labels):
    toy = Toy("signal")
    values = toy.draw(labels).astype(np.float64)
    there, here = (monitor(v, labels, PRIOR) for v in (values, values * np.array([50.0, 1e-6])[:, None]))
    np.testing.assert_allclose(there.pairwise, here.pairwise)
    assert there.separation == pytest.approx(here.separation)


def test_the_seed_decides():
    labels = np.arange(1200) % CLASSES  # 300 a class: more than are looked at
    values = Toy("signal").draw(labels)
    first, again, other = (monitor(values, labels, PRIOR, seed).pairwise for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_what_cannot_be_judged_is_refused(toy, labels):
    values = toy.draw(labels)
    broken = values.astype(np.float32)
    broken[3] = np.nan
    for wrong in (
        (values[:0], labels[:0], PRIOR),
        (values, labels + 1, PRIOR),
        (values, labels - 1, PRIOR),
        (values, labels, 0 * PRIOR),
        (broken, labels, PRIOR),
    ):
        with pytest.raises(ValueError, match=r"monitor|finite"):
            monitor(*wrong)
