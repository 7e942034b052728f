"""The page of scale: the same results give the same page; a model of a network is found again."""

from itertools import product

import pytest

from common.bench.growth.measure import laws
from common.bench.kept import made
from common.bench.network_model import Cell, fitted
from common.bench.pages import write_pages
from common.errors import ConfigError

BASE, TRIPS, PASSES, PAYLOAD = 11.0, 40.0, 2.0, 600_000
GRID = tuple(product((20, 100, 300), (10, 100, 1000)))


def seconds(trip, rate):
    return BASE + TRIPS * trip / 1000 + PASSES * PAYLOAD / (rate * 125_000)


def grown():
    points = [
        {
            "value": value,
            "runs": 2,
            "error": None,
            "seconds": {"fit": 0.1 * value, "whole": 5 + 0.1 * value},
            "bytes": {"holder_up": 1 << 20},
            "peak_bytes": (500 + value) << 20,
            "spread": {"whole": [5 + 0.1 * value, 6 + 0.1 * value], "peak_bytes": [(500 + value) << 20] * 2},
        }
        for value in (10, 100, 1000)
    ]
    points.append({"value": 5000, "runs": 0, "error": "headroom: too | long"})
    return {
        "along": "columns",
        "schedule": "moments",
        "fixed": "everything else",
        "points": points,
        "laws": laws(points),
        "load_before": 0.0,
    }


def deployed(trip, rate):
    return {
        "sites": 3,
        "round_trip_ms": trip,
        "megabits": rate,
        "sum_payload_bytes": PAYLOAD,
        "seconds_per_sum": seconds(trip, rate),
        "seconds": {"phase_keys": 28.0, "run_to_first_contribution": 52.0, "run_to_release": 84.0},
        "load": {"before": 0.1},
    }


@pytest.fixture
def results(tmp_path):
    made("scale", grown()).write(tmp_path / "columns.json")
    for trip, rate in GRID:
        made("deployment", deployed(trip, rate)).write(tmp_path / f"network-{trip}-{rate}.json")
    return tmp_path


def test_the_page_has_every_point_the_refused_one_too_and_says_what_is_an_extrapolation(results, tmp_path):
    first = write_pages(results, tmp_path / "out" / "scale.md")
    text, picture = (path.read_bytes() for path in first)
    page = text.decode()
    assert "| 1,000 | 100.00 | 105.00 (105.00 \u2013 106.00) | 1.00 | 1,500 | 2 |" in page
    assert "headroom: too \\| long" in page
    assert "| whole s | 0.6" in page
    assert "5 + 0.1 x^1" in page
    assert "16 GiB of memory would hold 15,884 columns; measured up to 1,000" in page
    assert "11.0 + 40 round trips + 2.0" in page
    assert picture.startswith(b"<?xml")
    assert [path.read_bytes() for path in write_pages(results, tmp_path / "again" / "scale.md")] == [
        text,
        picture,
    ]


def test_another_benchs_result_is_refused(results, tmp_path):
    made("scale", {"sites": 3}).write(results / "one.json")
    with pytest.raises(ConfigError, match="1 of the files"):
        write_pages(results, tmp_path / "out" / "scale.md")


def test_the_model_of_a_network_is_found_again():
    cells = [Cell(trip / 1000, rate, seconds(trip, rate), PAYLOAD) for trip, rate in GRID]
    model = fitted(cells)
    assert (model.base, model.trips, model.passes, model.off) == pytest.approx((BASE, TRIPS, PASSES, 0.0))
    alone = model.seconds(3, 0.1, 100, PAYLOAD, shared=1e9)
    assert alone == pytest.approx(seconds(100, 100))
    assert model.seconds(500, 0.1, 100, PAYLOAD, shared=1000) > alone  # the coordinator's link is full
    assert fitted(cells[:3]) is None


def test_what_no_network_explains_is_said():
    cells = [Cell(trip / 1000, rate, seconds(trip, rate), PAYLOAD) for trip, rate in GRID]
    odd = Cell(0.02, 1000, 3 * BASE, PAYLOAD)
    assert fitted([*cells, odd]).off > 0.2
