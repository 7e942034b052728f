"""Fitting images and signals to a released sum: it learns, and survives what is not finite."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier

from common.modalities.array_features import ArrayFeatures
from common.modalities.array_layout import ArrayLayout
from common.models.array_loss import ArrayMomentLoss
from common.models.arrays import new_generator, sizes
from common.models.film import ImageFilm
from common.phases import ArrayMeasure, ArrayModel
from server import array_fit
from server.array_fit import fit
from server.array_start import gaussians
from server.descent import Descent
from tests import toy_arrays

SIZES = [(1, 28, 28), (3, 32, 32), (1, 64, 64), (3, 128, 128), (1, 16), (1, 128), (12, 128), (2, 1201)]


def model(**changes: object) -> ArrayModel:
    content = {
        "latent": 16,
        "categories": 0,
        "factors": 0,
        "coefficients": 8,
        "generator": "film",
        "generator_hidden": (64,),
        "generator_width": 32,
        "discriminator_width": 8,
    }
    return ArrayModel.model_validate(content | changes)


def measure(**changes: object) -> ArrayMeasure:
    content = {
        "noise_multiplier": 0.5,
        "coefficients": 8,
        "plain": 100,
        "windowed": 60,
        "views": None,
        "field_bits": 14,
        "fit_steps": 150,
        "fit_batch": 24,
        "fit_learning_rate": 5e-3,
        "curriculum": 0.0,
    }
    return ArrayMeasure.model_validate(content | changes)


def setting(kind: str, **changes: object):
    arrays, schema = (
        (toy_arrays.digits(), toy_arrays.DIGITS)
        if kind == "image"
        else (toy_arrays.waves(), toy_arrays.WAVES)
    )
    layout, phase = ArrayLayout.of(schema), measure(**changes)
    features = ArrayFeatures.of(layout, phase)
    total = features.sum(layout.to_rows(arrays), np.ones(len(arrays)))
    noise = np.random.default_rng(0).normal(0, phase.noise_multiplier, total.shape)
    return arrays, layout, phase, features, total + noise


def new(layout: ArrayLayout, **changes: object):
    torch.manual_seed(0)
    return new_generator(layout, model(**changes))


@torch.no_grad()
def accuracy(generator, arrays, layout) -> float:
    """Of trees that learned from generated records, on real ones."""
    labels = torch.arange(600) % layout.classes
    noise = generator.points(600, torch.Generator().manual_seed(1))
    made = generator(noise, torch.eye(layout.classes)[labels]).numpy()
    found = ExtraTreesClassifier(100, random_state=0).fit(made, labels.numpy())
    return float(found.score(layout.scaled(layout.to_rows(arrays)), arrays.labels))


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["film", "convolutional"])
def test_networks_of_every_size_write_records_of_this_size(shape, kind):
    layout = ArrayLayout(shape, 3, ((0.0, 255.0),) * shape[0], len(shape) == 3)
    generator = new(layout, generator=kind)
    made = generator(generator.points(2, torch.Generator()), torch.eye(3)[[0, 2]])
    assert made.shape == (2, layout.values)
    assert made.abs().max() <= 1
    grown = sizes(layout)
    assert grown[-1] == shape[1:]
    assert all(a[0] < b[0] for a, b in pairwise(grown))


@pytest.mark.parametrize(("kind", "least"), [("image", 0.7), ("signal", 0.9)])
def test_a_fitted_generator_teaches_a_classifier_and_an_unfitted_one_does_not(kind, least):
    arrays, layout, phase, features, total = setting(kind)
    generator = new(layout)
    before = accuracy(generator, arrays, layout)
    fit(generator, total, features, phase, 1.0, 0)
    assert accuracy(generator, arrays, layout) > least > before + 0.1


def test_a_convolutional_generator_learns_from_the_same_sum():
    arrays, layout, phase, features, total = setting("signal", fit_steps=250)
    generator = new(layout, generator="convolutional")
    fit(generator, total, features, phase, 1.0, 0)
    assert accuracy(generator, arrays, layout) > 0.9


def test_an_image_starts_at_the_mean_of_its_class():
    arrays, layout, _, features, total = setting("image")
    generator = new(layout)
    assert isinstance(generator, ImageFilm)
    generator.start_at(*gaussians(features, total, generator.latent))
    with torch.no_grad():
        made = generator(torch.zeros(10, 16), torch.eye(10)).numpy()
    for label in range(10):
        real = layout.scaled(layout.to_rows(arrays.take(arrays.labels == label)))
        near = [np.corrcoef(made[label], other)[0, 1] for other in (real.mean(0),)]
        assert near[0] > 0.85
    assert accuracy(generator, arrays, layout) > 0.6  # of the Gaussians alone


def test_a_curriculum_begins_with_low_frequencies():
    _, layout, phase, features, total = setting("image", curriculum=0.5)
    ceilings = [array_fit._ceiling(features, phase, done) for done in (0.0, 0.25, 0.49, 0.5, 0.9)]
    assert ceilings[0] == 2
    assert ceilings[0] < ceilings[1] < ceilings[2] <= float(features.low.degree.max()) + 1
    assert ceilings[3:] == [None, None]
    generator = new(layout)
    assert np.isfinite(fit(generator, total, features, phase, 1.0, 0))


@pytest.mark.parametrize("lasting", [False, True])
def test_a_fit_that_breaks_goes_back_to_the_last_good_copy(monkeypatch, lasting):
    """Once: it goes on from there. For ever: what is kept is still finite."""
    arrays, layout, phase, features, total = setting("signal")
    honest, calls = ArrayMomentLoss.__call__, []

    def breaking(self, generator):
        calls.append(1)
        broken = len(calls) == 100 or (lasting and len(calls) > 100)
        return honest(self, generator) * (float("nan") if broken else 1.0)

    monkeypatch.setattr(ArrayMomentLoss, "__call__", breaking)
    generator = new(layout)
    value = fit(generator, total, features, phase, 1.0, 0)
    assert all(bool(p.isfinite().all()) for p in generator.parameters())
    assert accuracy(generator, arrays, layout) > 0.85
    assert np.isfinite(value) == (not lasting)


def test_without_the_guard_the_same_fit_would_be_lost(monkeypatch):
    """Negative control: steps on a loss that is not finite leave nothing."""
    _, layout, phase, features, total = setting("signal", fit_steps=20)

    def careless(self, loss):
        self._optimiser.zero_grad()
        value = loss(self.generator) * float("nan")
        value.backward()
        self._optimiser.step()
        return 0.0

    monkeypatch.setattr(Descent, "_descend", careless)
    generator = new(layout)
    fit(generator, total, features, phase, 1.0, 0)
    assert not all(bool(p.isfinite().all()) for p in generator.parameters())


class KilledError(Exception):
    """The process is gone."""


def test_an_interrupted_fit_goes_on_exactly_where_it_was(tmp_path, monkeypatch):
    _, layout, phase, features, total = setting("signal", fit_steps=60)
    monkeypatch.setattr(array_fit, "_WRITTEN", 10)
    whole = new(layout)
    fit(whole, total, features, phase, 1.0, 0)
    take, steps = Descent.take, []

    def dying(self, stage, loss):
        steps.append(1)
        if len(steps) == 57:  # in the tail, seven steps after the last file
            raise KilledError
        return take(self, stage, loss)

    kept, resumed = tmp_path / "fit.safetensors", new(layout)
    monkeypatch.setattr(Descent, "take", dying)
    with pytest.raises(KilledError):
        fit(resumed, total, features, phase, 1.0, 0, kept=kept, mark="plan")
    steps.clear()
    again = new(layout)
    fit(again, total, features, phase, 1.0, 0, kept=kept, mark="plan")
    assert len(steps) == 10  # from step 50 on
    assert not kept.exists()
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("damage", ["another plan", "cut", "no file", "noise"])
def test_a_fit_that_cannot_be_taken_up_begins_anew(tmp_path, damage):
    _, layout, phase, features, total = setting("signal", fit_steps=20)
    kept, whole, again = tmp_path / "fit.safetensors", new(layout), new(layout)
    fit(whole, total, features, phase, 1.0, 0)
    descent = Descent(new(layout), torch.Generator().manual_seed(5))
    descent.step = 15
    descent.save(kept, "another" if damage == "another plan" else "plan")
    if damage == "cut":
        kept.write_bytes(kept.read_bytes()[:-40])
    elif damage == "no file":
        kept.unlink()
    elif damage == "noise":
        kept.write_bytes(b"\x00" * 500)
    fit(again, total, features, phase, 1.0, 0, kept=kept, mark="plan")
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ["image", "signal"])
def test_the_large_preset_makes_a_plan(kind):
    from common.planning import make_plan, stand_in

    schema = toy_arrays.of(kind)[1]
    config = toy_arrays.config(features=toy_arrays.Features(), model=toy_arrays.Model())
    small, large = (
        make_plan(chosen, schema, stand_in(chosen), run="r") for chosen in (config, config.with_preset("gpu"))
    )
    assert large.model.generator_hidden[0] > small.model.generator_hidden[0]
    assert large.measure.plain > small.measure.plain
    assert large.measure.noise_multiplier == small.measure.noise_multiplier
