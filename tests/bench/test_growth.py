"""``fedcgan bench scale --along``: laws that are found again, and points that are real."""

import json

import pytest

from common.bench.growth import measure as growth
from common.bench.growth.axes import Along, wide
from common.bench.growth.law import law


def test_a_law_is_found_again():
    x = [10.0, 30.0, 100.0, 300.0]
    found = law(x, [2.0 * value**1.5 for value in x])
    assert found.exponent == found.low == found.high == 1.5
    assert (found.power, found.off) == (1.5, 0.0)
    assert found.reaches(found.at(5000.0)) == pytest.approx(5000.0)


def test_a_start_up_cost_hides_growth_from_the_exponent_and_not_from_the_law_beside_it():
    x = [10.0, 30.0, 100.0, 300.0, 1000.0]
    found = law(x, [500.0 + 0.2 * value for value in x])
    assert found.exponent < 0.2
    assert (found.power, round(found.fixed), round(found.factor, 3)) == (1.0, 500, 0.2)
    assert found.reaches(400.0) is None


def test_the_interval_widens_with_what_no_law_explains():
    x = [1.0, 2.0, 4.0, 8.0]
    found = law(x, [1.0, 2.5, 3.5, 9.0])
    assert found.low < 1.0 < found.high < 2.0
    assert found.off > 0.05


def test_no_law_of_two_points_or_of_nothing():
    assert law([1.0, 2.0], [1.0, 2.0]) is None
    assert law([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]) is None


def test_a_secure_sum_is_measured_alone_and_one_that_cannot_be_stays_with_its_error():
    result = growth.measure(Along.PARAMETERS, (1 << 40, 1000), "moments", repeats=2, enough=0.0)
    first, second = result["points"]
    assert (first["value"], first["runs"], first["error"]) == (1000, 1, None)
    assert set(first["seconds"]) == {"keys", "contribute", "add", "open", "combine", "whole"}
    assert first["bytes"]["contribution"] > first["bytes"]["opening_up"] > 100_000
    assert 20 << 20 < first["peak_bytes"] < 1 << 30
    assert "MemoryError" in second["error"]
    assert result["laws"]["peak bytes"] is None
    json.dumps(result, allow_nan=False)
    growth.print_table(result)


def test_a_wide_table_has_as_many_columns_as_asked_for():
    schema = wide(11)
    assert (len(schema.columns), len(schema.conditions)) == (11, 1)


def test_spread_and_median_of_repetitions():
    runs = [
        {"seconds": {"fit": s, "whole": s + 1}, "bytes": {"up": 10}, "peak_bytes": 100 * s} for s in (3, 1, 2)
    ]
    found = growth.medians(runs)
    assert found["seconds"] == {"fit": 2, "whole": 3}
    assert found["spread"] == {"whole": [2, 4], "peak_bytes": [100, 300]}
