"""A configuration key that records of a kind do not have is refused; what is as if left out is not."""

import pytest

from common.config import Data
from common.errors import ConfigError
from tests import toy, toy_arrays


def test_counts_are_of_tables():
    config = toy_arrays.config()
    config.check_kind(array=True)
    privacy = config.privacy.model_copy(update={"count_share": 0.5})
    with pytest.raises(ConfigError, match=r"privacy\.count_share is for tables"):
        config.model_copy(update={"privacy": privacy}).check_kind(array=True)
    toy.config(privacy=toy.config().privacy.model_copy(update={"count_share": 0.5})).check_kind(array=False)


def test_files_that_name_somebody_are_images_or_signals():
    toy.config().check_kind(array=False)
    data = Data(table="toy.csv", schema="toy.toml", allow_identified=True)
    with pytest.raises(ConfigError, match=r"data\.allow_identified is for images and signals"):
        toy.config(data=data).check_kind(array=False)
    toy_arrays.config(data=data).check_kind(array=True)
