"""By which files somebody could read a site's records; and whether everybody on this machine could.

Records are one file, a folder, or a CSV that lists files beside it. The modes of all of them count, where
they really lie: a link in a closed folder closes nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PureWindowsPath

from common.errors import UnreadableFileError


def holding(records: Path) -> list[Path]:
    """The file or folder of the records, where links in it lead, and all files in the folders of an index.

    All that lies in such a folder counts: the file that is listed may be a header, with its samples beside
    it. A folder is reached by who may list it, or enter it with a name in mind. Raises UnreadableFileError.
    """
    place = records.resolve()
    if place.is_dir():
        return [place, *(path.resolve() for path in place.rglob("*") if path.is_symlink())]
    found, home = [place], records.parent.resolve()
    for folder in sorted(_listed(place)) if records.suffix.lower() == ".csv" else ():
        with suppress(OSError, RuntimeError, ValueError):  # it is none: no records are read from there
            if (real := (home / folder).resolve()).is_relative_to(home):
                found += [path.resolve() for path in real.iterdir() if not path.is_dir()]
    return found


def open_to_all(paths: Iterable[Path]) -> Path | None:
    """The first of these absolute paths that every user of this machine could reach."""
    for path in paths:
        bits = 0o005 if path.is_dir() else 0o004
        closed = any(not folder.stat().st_mode & 0o001 for folder in path.parents)
        if path.exists() and path.stat().st_mode & bits and not closed:
            return path
    return None


def _listed(index: Path) -> set[Path]:
    """The folders that a CSV's column ``path`` names, none where there is no such column or no such file."""
    if not index.is_file():
        return set()
    try:
        with open(index, encoding="utf-8-sig", errors="replace", newline="") as file:
            return {folder for name in _names(csv.reader(file)) for folder in _folders(name)}
    except csv.Error as error:
        raise UnreadableFileError(f"{index} cannot be read as a table", hint="CSV with a header") from error


def _names(rows: Iterator[list[str]]) -> Iterator[str]:
    header = next(rows, [])
    if "path" in header:
        column = header.index("path")
        yield from (row[column] for row in rows if len(row) > column)


def _folders(name: str) -> tuple[Path, Path]:
    """Some readers know both kinds of slash, some one."""
    return Path(name).parent, Path(*PureWindowsPath(name).parent.parts)
