"""Records at once, in a bounded time and a bounded memory."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from ...sampler.arrays import ArraySample, sample_arrays
from ...sampler.errors import RequestError
from ...sampler.sampling import Limits, Sample, sample
from ...sampler.session import TableFile
from .asked import Asked
from .shelf import Generator

_AT_ONCE = threading.BoundedSemaphore(2)  # draws under way; others wait
_SHOWN_CELLS, _KEPT_CELLS = 40_000, 5_000_000  # of a table on a page, in a file
_SHOWN_VALUES, _KEPT_VALUES = 1 << 20, 1 << 24  # of images and signals
_TEXT_VALUES = 1 << 21  # of signals as text
_JUDGED_CELLS = 1 << 22  # of candidates in memory


@dataclass(frozen=True, slots=True)
class Most:
    """Records on a page if nothing is said, at most on a page, and at most in a file."""

    usual: int
    shown: int
    kept: int


def most_of(found: Generator, form: str = "") -> Most:
    """form: of the file, such as ``csv``"""
    if isinstance(found, TableFile):
        columns = len(found.table.columns)
        shown = max(1, min(1000, _SHOWN_CELLS // columns))
        return Most(min(10, shown), shown, max(1000, min(100_000, _KEPT_CELLS // columns)))
    values = math.prod(found.kind.shape)
    in_file = _TEXT_VALUES if form == "csv" else _KEPT_VALUES
    kept = max(1, min(100_000, in_file // values))
    if found.kind.whole:
        shown = max(1, min(100, _SHOWN_VALUES // values))
        return Most(min(20, shown), shown, kept)
    shown = max(1, min(12, 48 // found.kind.shape[0]))
    return Most(min(4, shown), shown, kept)


def draw(found: Generator, asked: Asked) -> Sample | ArraySample:
    """Raises RequestError, UnknownValueError or ImpossibleError, also after too many candidates in vain."""
    with _AT_ONCE:
        if isinstance(found, TableFile):
            width = len(found.table.columns)
            limits = Limits(200_000, 20, max(1 << 12, min(1 << 17, _JUDGED_CELLS // width)))
            wanted = (asked.count, asked.where, asked.balance, asked.seed)
            return sample(found.table, found.network, *wanted, limits=limits)
        if asked.balance is not None:
            raise RequestError("only tables can be balanced here", hint="choose a class instead")
        return sample_arrays(found.kind, found.network, asked.count, asked.where, None, asked.seed)
