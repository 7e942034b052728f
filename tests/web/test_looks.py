"""Scripts are those that were published; charts are round numbers and shapes without a style."""

import hashlib
import re

import numpy as np
import pytest

from common.web import charts, statics
from common.web.charts import Bar, Series
from common.web.nice import decimated, ends_of, tick

PUBLISHED = {  # SHA-256 of dist/ in the packages of the npm registry
    "htmx.min.js": ("2.0.11", "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"),
    "sse.min.js": ("2.2.4", "98a46496de0c3605fbffdce9167ba427bdd9553184f83f149c261891a92c0136"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_script_is_the_published_one(name):
    version, digest = PUBLISHED[name]
    content = (statics.FOLDER / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert hashlib.sha256(content + b" ").hexdigest() != digest
    said = (statics.FOLDER / "VENDORED.txt").read_text()
    assert re.search(rf"^{name} .* {version}, ", said, re.MULTILINE)
    assert "Permission to use, copy, modify" in said


def test_there_are_no_other_scripts():
    assert {path.name for path in statics.FOLDER.glob("*.js")} == set(PUBLISHED)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.2, 1.9], [0, 0.5, 1, 1.5, 2]),
        ([3.0], [0, 1, 2, 3]),
        ([-2.0, 5.0], [-2, 0, 2, 4, 6]),
        ([0.0, 0.0], [0, 0.25, 0.5, 0.75, 1]),
        ([12_345.0], [0, 5000, 10_000, 15_000]),
        ([], [0, 0.5, 1]),
    ],
)
def test_ticks_are_round_and_enclose(values, expected):
    assert ends_of(np.array(values), True) == pytest.approx(expected)


def test_an_axis_need_not_begin_at_zero():
    assert ends_of(np.array([5.0, 5.0]), False) == pytest.approx([2, 4, 6, 8])
    assert ends_of(np.array([0.71, 0.79]), False) == pytest.approx([0.7, 0.725, 0.75, 0.775, 0.8])


def test_numbers_of_an_axis_are_short():
    assert [tick(one) for one in (0, 0.25, 12_345, -1.5, 1e-6, 2e20)] == [
        *("0", "0.25", "12,345", "\N{MINUS SIGN}1.5", "1e\N{MINUS SIGN}06", "2e+20")
    ]


def test_many_points_become_few_and_peaks_stay():
    y = np.random.default_rng(0).standard_normal(100_000)
    y[77_777], y[5] = 100, -100
    x, kept = decimated(np.arange(100_000.0), y)
    assert len(kept) < 900
    assert (kept.max(), kept.min()) == (100, -100)
    assert (x[0], x[-1]) == (0, 99_999)
    assert (np.diff(x) > 0).all()
    assert decimated(np.arange(9.0), y[:9])[1].tolist() == y[:9].tolist()


def test_curves_lie_where_their_numbers_are():
    drawn = charts.curves(
        "<Loss>",
        [Series("D & G", [0, 1, 2, 3], [0, 4, float("nan"), 2], said="2.0 nats"), Series("none", [], [])],
        unit="round",
        target=(3, "aim"),
    )
    assert "&lt;Loss&gt;" in drawn
    assert 'd="M0 100L33.33 0L100 50"' in drawn  # from 0 to 4, over three rounds
    assert '<path class="target" d="M0 25H100"/>' in drawn
    assert "<strong>2.0 nats</strong>" in drawn
    assert "<strong>no value yet</strong>" in drawn
    assert 'aria-label="&lt;Loss&gt;, by round: D &amp; G from 0 to 2; none: no value"' in drawn
    steps = charts.curves("ε", [Series("spent", [0, 1, 2], [0, 1, 2])], unit="round", steps=True)
    assert 'd="M0 100L50 100L50 50L100 50L100 0"' in steps
    assert "style" not in drawn + steps
    with pytest.raises(ValueError, match="at most 3"):
        charts.curves("", [Series("a", [1], [1])] * 4, unit="")


def test_bars_share_a_scale():
    drawn = charts.bars("Time", [Bar("a<b", 1, "1 s"), Bar("b", 2, "2 s", "failed")], mark=(1, "median"))
    assert 'class="fill " width="49"' in drawn
    assert 'class="fill failed" width="98"' in drawn
    assert drawn.count("M49 0V10") == 2
    assert "a&lt;b" in drawn
