"""Who is kept out of training: each site draws it by subject, with its own secret, the same for every run.

What is held out never enters a step that the generator depends on, so it can judge the generator, and serve
as the people who could not have been memorised in an attack on it.

*Formal guarantee.* Sides are a keyed function of the subject (of the row, where a schema names none), so
that to everybody without the key each unit's side is an independent coin. Given the coins, a unit enters
either the training sums and the evaluation's training half, or the evaluation's other half alone; mixing over
coins that do not depend on whether a unit is there keeps every (epsilon, delta): joint convexity of the
hockey-stick divergence (Balle, Barthe and Gaboardi 2018, section 3). Charged is the training side's cost, the
larger.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .crypto.secret_file import damaged, read_secret, write_secret
from .errors import CryptoError
from .records import Records, Rows

KEY_FILE = "holdout.key"
_KEY_LETTERS = 16  # of pandas' keyed hash, SipHash-2-4 (Aumasson and Bernstein 2012); 96 random bits

_BATCH = 1 << 16  # names that are hashed at once


@dataclass(frozen=True, slots=True)
class Split:
    """A site's records on both sides. Never leaves the site."""

    training: Records
    held_out: Records

    @classmethod
    def of(cls, rows: Rows, subjects: NDArray[Any] | None, held: NDArray[np.bool_]) -> Split:
        """subjects: whose each row is, None if each is its own; held: bool[records]"""
        unit = None if subjects is None else pd.factorize(subjects)[0].astype(np.int64)
        sides = (Records.of(rows[side], None if unit is None else unit[side]) for side in (~held, held))
        return cls(*sides)

    @classmethod
    def trained_on(cls, records: Records) -> Split:
        """Nobody held out."""
        return cls(records, Records.of(records.rows[:0]))


def new_key(source: Callable[[int], bytes] = os.urandom) -> str:
    """A fresh secret. source: of so many random bytes; a simulation's is repeatable"""
    return base64.b64encode(source(3 * _KEY_LETTERS // 4)).decode()


def make_site_key(folder: Path) -> None:
    """Give a site its secret, unless it has one."""
    if not (folder / KEY_FILE).exists():
        write_secret(folder / KEY_FILE, new_key().encode())


def site_key(folder: Path) -> str:
    """The secret of a site. Raises CryptoError if there is none, or if others can read it.

    It is made once, with the site: by another one, people who were held out would be trained on.
    """
    path = folder / KEY_FILE
    if not path.exists():
        raise CryptoError(f"there is no {path}", hint="restore it from a backup")
    with damaged(path):
        key = read_secret(path).decode("ascii")
        if len(key) != _KEY_LETTERS:
            raise ValueError("a key of another length")
    return key


def held_out(
    subjects: NDArray[Any] | None, count: int, share: float, key: str, file: str
) -> NDArray[np.bool_]:
    """True for the rows of about ``share`` of the subjects: bool[count].

    subjects: whose each row is, as text; None, and each row is its own, told by its number and its file
    """
    held = np.empty(count, np.bool_)
    for start in range(0, count, _BATCH):
        part = slice(start, min(start + _BATCH, count))
        if subjects is None:
            whose = np.char.add(f"{file}:", np.arange(part.start, part.stop).astype(str))
        else:
            whose = subjects[part].astype(str)
        hashes = pd.util.hash_array(whose.astype(object), hash_key=key, categorize=True)
        held[part] = hashes < np.uint64(int(share * 2**64))
    return held
