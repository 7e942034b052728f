"""Who holds which record in a simulated federation: by subject, never by row."""

from __future__ import annotations

import heapq
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..config import Sites
from ..errors import ConfigError, TooFewRecordsError

Indices = NDArray[np.int64]

_FOLDER_NAME = re.compile(r"site-[A-Za-z0-9_-]{1,50}")


def assign(
    frame: pd.DataFrame, subject: str | None, sites: Sites, random: np.random.Generator
) -> tuple[list[str], Indices]:
    """Names of the sites, and for each row the number of its site."""
    if sites.split == "column":
        return _by_column(frame, sites)
    groups = _subjects(frame, subject)
    if sites.split == "iid":
        of_subject = random.permutation(groups.max() + 1) % sites.count
    elif sites.split == "class":
        of_subject = _by_class(frame, groups, sites, random)
    else:
        of_subject = _dirichlet(frame, groups, sites, random)
    return _numbered(sites.count), of_subject[groups].astype(np.int64)


def _by_column(frame: pd.DataFrame, sites: Sites) -> tuple[list[str], Indices]:
    codes, values = pd.factorize(_column(frame, sites), sort=True)
    if (codes < 0).any():
        raise ConfigError(
            f"column {sites.column!r} has no value in {int((codes < 0).sum())} rows, which have no site then",
            hint="name the site of every row, or leave these rows out",
        )
    if len(values) != sites.count:
        raise ConfigError(
            f"column {sites.column!r} splits the table into {len(values)} sites, "
            f"the configuration says {sites.count}",
            hint=f"count = {len(values)} under [sites], or another column",
        )
    names = [f"site-{value}" for value in values]
    if len(set(names)) != len(names) or not all(_FOLDER_NAME.fullmatch(name) for name in names):
        names = _numbered(sites.count)
    return names, codes.astype(np.int64)


def _numbered(count: int) -> list[str]:
    return [f"site-{number}" for number in range(1, count + 1)]


def _dirichlet(frame: pd.DataFrame, groups: Indices, sites: Sites, random: np.random.Generator) -> Indices:
    """Each class's subjects are spread over sites with proportions from Dirichlet(alpha).

    A subject's class is that of its first row (Hsu, Qi, Brown 2019).
    """
    classes = _class_of_subject(frame, groups, sites)
    of_subject = np.empty(len(classes), np.int64)
    for value in np.unique(classes):
        members = random.permutation(np.nonzero(classes == value)[0])
        shares = random.dirichlet(np.full(sites.count, sites.alpha))
        borders = np.round(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
        for number, part in enumerate(np.split(members, borders)):
            of_subject[part] = number
    return of_subject


def _by_class(frame: pd.DataFrame, groups: Indices, sites: Sites, random: np.random.Generator) -> Indices:
    """Each site holds subjects of one class, or, with fewer sites than classes, some classes whole."""
    classes = np.unique(_class_of_subject(frame, groups, sites), return_inverse=True)[1]
    of_subject = np.empty(len(classes), np.int64)
    for value, mine in enumerate(_deal(np.bincount(classes), sites.count)):
        members = random.permutation(np.nonzero(classes == value)[0])
        of_subject[members] = np.resize(mine, len(members))
    return of_subject


def _deal(sizes: Indices, count: int) -> list[list[int]]:
    """Numbers of each class's sites.

    One a class, and every further site to the class whose sites are the largest (highest averages, D'Hondt);
    with fewer sites than classes, the largest class first, each to the site that holds the least.
    """
    if count < len(sizes):
        lightest, dealt = [(0, number) for number in range(count)], [[0]] * len(sizes)
        for value in np.argsort(-sizes, kind="stable"):
            held, number = heapq.heappop(lightest)
            dealt[value] = [number]
            heapq.heappush(lightest, (held + int(sizes[value]), number))
        return dealt
    seats = np.ones(len(sizes), np.int64)
    for _ in range(count - len(sizes)):
        seats[np.argmax(sizes / seats)] += 1
    return [list(range(end - own, end)) for end, own in zip(np.cumsum(seats), seats, strict=True)]


def _class_of_subject(frame: pd.DataFrame, groups: Indices, sites: Sites) -> Indices:
    """Code of each subject's class, that of its first row, in the order in which classes come."""
    _, first = np.unique(groups, return_index=True)
    classes: Indices = pd.factorize(_column(frame, sites))[0][first]
    return classes


def _column(frame: pd.DataFrame, sites: Sites) -> pd.Series:
    if sites.column not in frame.columns:
        raise ConfigError(
            f"there is no column {sites.column!r} to split by",
            hint="columns: " + ", ".join(map(str, frame.columns)),
        )
    return frame[sites.column]


def _subjects(frame: pd.DataFrame, subject: str | None) -> Indices:
    """A number for each row's subject; the row itself where there is none."""
    if len(frame) == 0:
        raise TooFewRecordsError(
            "the table has no rows", hint="name a table with records: a header alone is none"
        )
    if subject is None:
        return np.arange(len(frame))
    if subject not in frame.columns:
        raise ConfigError(f"the schema names the subject column {subject!r}, the table has none")
    return pd.factorize(frame[subject], use_na_sentinel=False)[0].astype(np.int64)
