"""Whether what is rare among real records comes up among synthetic ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Arrays
from ..schema import Schema, TableSchema
from .figures import Figure
from .intervals import wilson
from .space import Records

BANDS = (("rare", 0.0, 0.005), ("uncommon", 0.005, 0.05), ("common", 0.05, 1.01))
"""Names, and from which share of real records to below which."""

_SEED = 20_240_608

_Kind = tuple[str, str, int, Callable[[Any], NDArray[np.int64]]]
"""Name, title, how many cells there are, and in which those of some records are."""


def coverage(training: Records, holdout: Records, synthetic: Records, schema: Schema) -> tuple[Figure, ...]:
    """Share of what occurs among held-out records that synthetic ones have too, by how rare it is.

    Of tables categories (codes of all columns) and combinations of conditions, of images and signals labels.
    The reference looks for the same among as many training records.
    """
    kinds = _of_table(schema) if isinstance(schema, TableSchema) else [_labels(schema)]
    random, count = np.random.default_rng(_SEED), min(len(training), len(synthetic))
    sides = [_some(side, count, random) for side in (synthetic, training)]
    return tuple(
        figure
        for name, title, size, cells in kinds
        for figure in _by_rarity(
            name,
            title,
            *(np.bincount(cells(side), minlength=size) for side in (holdout, training, *sides)),
            records=len(holdout) + len(training),
        )
    )


def _of_table(schema: TableSchema) -> list[_Kind]:
    offsets = np.concatenate([[0], np.cumsum(schema.sizes)[:-1]])
    flags = [column.condition for column in schema.columns]
    sizes = [column.size for column in schema.conditions]

    def categories(codes: Any) -> NDArray[np.int64]:
        return np.ravel(codes + offsets)

    def conditions(codes: Any) -> NDArray[np.int64]:
        return np.asarray(np.ravel_multi_index(tuple(codes[:, flags].T), sizes), np.int64)

    return [
        ("categories", "Categories and bins", sum(schema.sizes), categories),
        ("conditions", "Combinations of conditions", int(np.prod(sizes)), conditions),
    ]


def _labels(schema: Schema) -> _Kind:
    def labels(arrays: Any) -> NDArray[np.int64]:
        return np.asarray(arrays.labels)

    return "labels", "Labels", schema.conditions[0].size, labels


def _by_rarity(
    name: str,
    title: str,
    held: NDArray[np.int64],
    seen: NDArray[np.int64],
    made: NDArray[np.int64],
    real: NDArray[np.int64],
    *,
    records: int,
) -> list[Figure]:
    figures, share = [], (held + seen) / records
    for band, low, high in BANDS:
        wanted = (held > 0) & (share >= low) & (share < high)
        if (total := int(wanted.sum())) == 0:
            continue
        found = int((made[wanted] > 0).sum())
        ends = wilson(found, total)
        figures.append(
            Figure(
                name=f"coverage.{name}.{band}",
                title=f"{title} of held-out records that come up, {band} ones",
                value=found / total,
                low=ends[0],
                high=ends[1],
                reference=float((real[wanted] > 0).mean()),
                better="higher",
                source="records",
                how=f"{found} of {total} that make up {_words(low, high)} of real records; the reference "
                "looks among as many training records. Interval: Wilson 1927.",
            )
        )
    return figures


def _words(low: float, high: float) -> str:
    if low == 0:
        return f"less than {100 * high:g} %"
    return f"at least {100 * low:g} %" + (f", less than {100 * high:g} %" if high < 1 else "")


def _some(records: Records, count: int, random: np.random.Generator) -> Records:
    rows = random.permutation(len(records))[:count]
    return records.take(rows) if isinstance(records, Arrays) else records[rows]
