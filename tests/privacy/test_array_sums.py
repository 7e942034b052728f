"""A record's share of the sum of images or signals: norm at most 1, finite, for every record there can be."""

import warnings

import numpy as np
import pytest
from pydantic import ValidationError

from common.columns import CategoryColumn
from common.modalities.array_features import ArrayFeatures
from common.modalities.array_layout import ArrayLayout
from common.phases import Views
from common.schema import Channel, ImageSchema, SignalSchema
from tests.toy_arrays import WAVES

MANY = CategoryColumn(name="kind", categories=tuple(range(256)))


def image(size, channels, classes=256):
    label = CategoryColumn(name="kind", categories=tuple(range(classes)))
    return ImageSchema(kind="image", name="i", label=label, size=size, channels=channels)


def signal(*bounds):
    channels = tuple(Channel(name=str(i), unit="", bounds=pair) for i, pair in enumerate(bounds))
    return SignalSchema.model_validate({**WAVES.model_dump(), "label": MANY, "channels": channels})


def norms(schema, rows, coefficients=6, views=None):
    features = ArrayFeatures(ArrayLayout.of(schema), coefficients, 7, 5, views)
    return [float(np.linalg.norm(features.sum(row[None], np.ones(1)))) for row in rows]


@pytest.mark.parametrize("views", [None, Views(count=3, flip=True, rotate=45.0, shift=16)])
@pytest.mark.parametrize(
    ("size", "channels", "coefficients", "classes"), [(28, 1, 4, 256), (40, 3, 6, 2), (36, 1, 32, 2)]
)
def test_extreme_images_of_the_last_class(size, channels, coefficients, classes, views):
    """Class 255 in a row of uint8; more coefficients than windows can show."""
    schema, random = image(size, channels, classes), np.random.default_rng(0)
    values = schema.shape[0] * size * size
    rows = np.full((4, values + 1), 255, np.uint8)
    rows[:, -1] = classes - 1
    rows[1, :-1], rows[2, :-1] = 0, random.integers(0, 256, values)
    rows[3, :-1] = 255 * (np.arange(values) % 2)
    assert ArrayLayout.of(schema).labels(rows).tolist() == [classes - 1] * 4
    found = norms(schema, rows, coefficients, views)
    assert max(found) <= 1
    if views is None:
        assert min(found) > 1 - 1e-8  # the bound is tight


@pytest.mark.parametrize("bounds", [((-1e30, 1e30), (0, 1e-29)), ((1e8, 1e8 + 128), (-2, 3))])
def test_extreme_signals(bounds):
    schema = signal(*bounds)
    low, high = (np.repeat([pair[end] for pair in bounds], 16).astype(np.float32) for end in (0, 1))
    rows = np.stack([low, high, np.where(np.arange(32) % 2, low, high)])
    rows = np.concatenate([rows, np.full((3, 1), 255, np.float32)], axis=1)
    found = norms(schema, rows)
    assert min(found) > 1 - 1e-8
    assert max(found) <= 1


@pytest.mark.parametrize("bounds", [(0, 1e39), (-2e38, 3e38), (1e8, 1e8 + 1), (0, 1e-46), (1.0, 1.0 + 1e-9)])
def test_bounds_that_float32_cannot_tell_apart_are_no_schema(bounds):
    with pytest.raises(ValidationError, match="float32"):
        signal(bounds)


def test_with_such_bounds_a_record_would_be_no_number():
    """Negative control: why they are refused."""
    layout = ArrayLayout((1, 16), 2, ((0.0, 1e39),), False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not np.isfinite(layout.scaled(np.ones((1, 17), np.float32))).all()
