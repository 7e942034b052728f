"""Synthetic samples of a run by step: pictures as they are, rows of a table as a table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from common.events import Looked

from .runs import Run

_ROWS, _CELL = 50, 60  # of a table, and characters of a cell


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the generator. place: of all looks, from 0; kind: picture, rows, or nothing"""

    place: int
    total: int
    title: str
    kind: str
    told: float | None
    head: list[str]
    rows: list[list[str]]


def look(run: Run, place: int | None) -> Look | None:
    """The look at this place, the newest if there is none at it; None if nobody has looked yet."""
    looks = run.view.looks
    if not looks:
        return None
    at = len(looks) - 1 if place is None or not 0 <= place < len(looks) else place
    one = looks[at]
    path = file_of(run, at)
    head, rows = _table(path) if path is not None and path.suffix == ".csv" else ([], [])
    kind = "nothing" if path is None else ("rows" if path.suffix == ".csv" else "picture")
    return Look(at, len(looks), title(one.step), kind, one.fakes_told, head, rows)


def titles(run: Run) -> list[str]:
    """Of all looks, oldest first."""
    return [title(one.step) for one in run.view.looks]


def title(step: str) -> str:
    """``fit`` or ``train-0012`` as people say it."""
    kind, _, number = step.partition("-")
    return "after the fit" if kind == "fit" else f"round {int(number)}" if number.isdigit() else step


def file_of(run: Run, place: int) -> Path | None:
    """The file of a look, None if it has none or it is gone. Only files that the log names are ever read."""
    looks: list[Looked] = run.view.looks
    if not 0 <= place < len(looks) or not looks[place].samples:
        return None
    folder = (run.place.folder / "coordinator").resolve()
    path = (folder / looks[place].samples).resolve()
    return path if path.is_relative_to(folder / "samples") and path.is_file() else None


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = [[cell[:_CELL] for cell in row] for row in islice(csv.reader(file), _ROWS + 1)]
    return (rows[0], rows[1:]) if rows else ([], [])
