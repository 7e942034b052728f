"""The end of a long log, read from its end."""

import pytest

from client import log_tail
from client.log_tail import Line, tail


def line(number: int, level: str = "INFO") -> str:
    return f"2027-01-31 12:00:00,{number % 1000:03} {level} line {number}"


@pytest.fixture(params=[1, 7, 1 << 16])
def log(request, monkeypatch, tmp_path):
    """A log of 100 lines, every tenth a warning, read in blocks of all sizes."""
    monkeypatch.setattr(log_tail, "_BLOCK", request.param)
    path = tmp_path / "site.log"
    path.write_text("".join(line(n, "WARNING" if n % 10 == 0 else "INFO") + "\n" for n in range(100)))
    return path


@pytest.mark.parametrize("count", [1, 3, 100, 1000])
def test_the_last_lines_are_those_of_the_whole_file(log, count):
    assert tail(log, count) == log.read_text().splitlines()[-count:]


def test_lines_of_a_level_are_found_wherever_they_are(log):
    assert tail(log, 3, ("WARNING", "ERROR")) == [line(n, "WARNING") for n in (70, 80, 90)]
    assert tail(log, 3, ("ERROR",)) == []


def test_a_line_being_written_and_strange_bytes_are_shown_as_they_are(log):
    with log.open("ab") as file:
        file.write(b"\xff no line of ours\n" + line(100).encode())
    assert tail(log, 2) == ["\ufffd no line of ours", line(100)]


def test_only_so_much_is_looked_through(log, monkeypatch):
    monkeypatch.setattr(log_tail, "_FARTHEST", 90)
    assert tail(log, 100) == log.read_text().splitlines()[-2:]


def test_a_line_is_taken_apart():
    assert Line.of(line(1, "ERROR")) == Line("2027-01-31 12:00:00", "ERROR", "line 1")
    assert Line.of("  File x") == Line("", "", "  File x")


def test_without_a_log_there_is_nothing(tmp_path):
    assert tail(tmp_path / "site.log", 5) == []
