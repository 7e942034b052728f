"""Samples in a terminal's letters: of files as a run's look writes them."""

import io

import numpy as np
import pytest
from rich.console import Console

from common.modalities import image_output, signal_output
from server.thumbnails import preview
from tests import toy
from tests.toy_arrays import DIGITS, WAVES, digits, waves

FACTS = {"Plan": "0" * 64, "Epsilon": "1", "Delta": "1e-05", "Unit": "u"}


def shown(path, schema, width, lines):
    """What is on the screen, and its segments, line by line."""
    console = Console(width=width, force_terminal=True, color_system="truecolor", file=io.StringIO())
    drawn = preview(path, schema, width, lines)
    rows = console.render_lines(drawn, pad=False)
    texts = ["".join(segment.text for segment in row) for row in rows]
    return texts, rows


@pytest.fixture
def gallery(tmp_path):
    """Ten real digits of each kind, as a grid; the first of each is what is shown."""
    data, path = digits(), tmp_path / "fit.png"
    rows = np.stack([data.values[data.labels == label][:10] for label in range(10)])
    image_output.write_grid(rows, path, FACTS)
    return path, rows


@pytest.mark.parametrize(
    ("width", "lines", "seen", "pixels"), [(140, 30, 10, 27), (78, 8, 6, 12), (78, 40, 10, 18), (40, 4, 5, 6)]
)
def test_images_are_half_blocks_of_the_right_pixels(gallery, width, lines, seen, pixels):
    path, images = gallery
    texts, rows = shown(path, DIGITS, width, lines)
    assert len([text for text in texts if text.strip()]) <= lines
    assert max(map(len, texts)) <= width + 1
    names = ", ".join(map(str, range(seen)))
    assert texts[0].startswith(f"one of each digit: {names}" + (", and" if seen < 10 else ""))
    first = rows[1]
    assert len(texts[1]) - texts[1].count(" ") == pixels * texts[1].count(" ")  # whole images, apart
    # the brightness on the screen is that of the real images, as far as so few pixels can say it
    colours = [segment.style.color.triplet.red for row in rows[1:] for segment in row if segment.text == "▀"]
    assert abs(np.mean(colours) - images[:seen, 0].mean()) < 12
    blank = first[0].style
    assert (blank.color.triplet.red, blank.bgcolor.triplet.red) == (0, 0)  # the corner of a digit


def test_curves_are_dots_without_axes_and_letters(tmp_path):
    data, path = waves(40), tmp_path / "fit.png"
    rows = np.stack([data.values[data.labels == label][:10] for label in range(2)])
    signal_output.figure(rows, WAVES, path, FACTS)
    texts, _ = shown(path, WAVES, 78, 8)
    assert 4 <= len(texts) <= 8
    dots = np.array([[ord(letter) - 0x2800 for letter in text.ljust(78, "⠀")] for text in texts])
    assert ((dots >= 0) & (dots < 256)).all()
    filled = (dots > 0).mean()
    assert 0.05 < filled < 0.5  # curves, and no frames around them
    ramp = dots[len(texts) // 2 :, :20]  # half ramps only rise: their left end is lower
    columns = [np.nonzero(column)[0].mean() for column in ramp.T if column.any()]
    assert columns[0] > columns[-1]


def test_a_table_shows_as_many_columns_as_fit_and_says_how_many_are_left(tmp_path):
    path = tmp_path / "fit.csv"
    toy.records(30).to_csv(path, index=False)
    texts, _ = shown(path, toy.SCHEMA, 78, 5)
    assert len(texts) == 5
    assert texts[0].split() == ["patient", "hospital", "age", "smoker", "cost", "grade", "diagnosis", "sex"]
    texts, _ = shown(path, toy.SCHEMA, 30, 5)
    assert texts[0].split() == ["patient", "hospital", "age", "+5"]
    assert max(map(len, texts)) <= 30


def test_a_file_that_is_none_is_not_shown(tmp_path):
    for name, schema in (("fit.png", DIGITS), ("fit.png", WAVES), ("fit.csv", toy.SCHEMA)):
        assert preview(tmp_path / name, schema, 78, 8) is None
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\nno picture" if name.endswith("png") else b"")
        assert preview(tmp_path / name, schema, 78, 8) is None
