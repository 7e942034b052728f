"""The noise that a rare combination is judged by is that of its count, as many noisy sums show."""

import numpy as np
import pytest

from common.contributions import array_features
from common.modalities.gram import GramFeatures
from common.modalities.layout import Layout
from server.moments import _class_totals, _margins
from server.prior_noise import prior_noise, table_noise
from tests import toy, toy_arrays

LAYOUT = Layout.of(toy.SCHEMA)
SIGMA, SUMS = 3.0, 400


@pytest.mark.parametrize("split", [(4, 5), (), (4,)], ids=["both", "none", "diagnosis"])
def test_of_a_table(split):
    features = GramFeatures(LAYOUT, split, 0.3)
    widths = np.array([block.stop - block.start for block in features.blocks])
    spread = SIGMA / features.pair_weights
    random = np.random.default_rng(0)
    counts = []
    for _ in range(SUMS):
        gram = features.matrices(random.normal(0, SIGMA, features.count))
        if split == (4, 5):
            counts.append(_class_totals(gram, features, spread, widths))
        elif split == ():  # a cell of the block of both conditions
            counts.append(gram[:, features.blocks[-2], features.blocks[-1]].ravel())
        else:
            counts.append(_margins(gram, features, spread, widths, len(widths) - 1)[0].ravel())
    assert table_noise(features, SIGMA) == pytest.approx(np.std(counts), rel=0.1)
    assert table_noise(features, 2 * SIGMA) == pytest.approx(2 * table_noise(features, SIGMA))


def test_of_images_it_is_the_noise_of_a_class(tmp_path):
    run = toy_arrays.run_folder(tmp_path / "run", *toy_arrays.of("waves"))
    features = array_features(run.schema, run.plan)
    noise = np.random.default_rng(0).normal(0, run.plan.measure.noise_multiplier, (SUMS, features.count))
    counts = [features.counts(one) for one in noise]
    assert prior_noise(run.plan, run.schema, run.plan.measure.noise_multiplier) == pytest.approx(
        np.std(counts), rel=0.1
    )
