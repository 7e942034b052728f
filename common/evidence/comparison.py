"""Synthetic records beside their reference, as numbers: shares, associations, main directions, spectra.

Everything drawn of them on the page is drawn from these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays import Arrays
from ..columns import NumberColumn
from ..modalities.tabular import Codes, encode
from ..schema import ArraySchema, SignalSchema, TableSchema
from .groups import groups_of, plain
from .projection import Plane, of_arrays, of_table
from .reference import Reference, TwoWay, coarse, distance

Array = NDArray[np.float64]

_POINTS = 600  # of a projection, of either kind
_FREQUENCIES = 160  # of a spectrum shown


def table_comparison(synthetic: pd.DataFrame, schema: TableSchema, reference: Reference) -> dict[str, Any]:
    """Marginals, associations and a projection of a table. The reference has a grouping."""
    assert reference.grouping is not None
    grouped = reference.grouping.to_groups(encode(_known(synthetic, schema), schema), schema)
    ours = TwoWay.of_codes(grouped, schema.groups)
    theirs, real = reference.two_way, None
    if isinstance(reference.records, pd.DataFrame):
        real = reference.grouping.to_groups(encode(_known(reference.records, schema), schema), schema)
        theirs = TwoWay.of_codes(real, schema.groups)
    groups = groups_of(schema, reference.grouping)
    into = coarse((ours if theirs is None else theirs).single, ours.sizes, [one.ordered for one in groups])
    return {
        "marginals": _marginals(schema, reference, ours, theirs),
        "association": {
            "columns": [plain(column.name) for column in schema.columns],
            "synthetic": _rounded(ours.merged(into).association()),
            "reference": None if theirs is None else _rounded(theirs.merged(into).association()),
        },
        "projection": _table_projection(grouped, real, ours, theirs),
    }


def _known(frame: pd.DataFrame, schema: TableSchema) -> pd.DataFrame:
    """The columns of the schema alone."""
    return frame[[name for name in schema.names if name in frame.columns]]


def _marginals(
    schema: TableSchema, reference: Reference, ours: TwoWay, theirs: TwoWay | None
) -> list[dict[str, Any]]:
    assert reference.grouping is not None
    apart = None if theirs is None else distance(ours, theirs)
    found = []
    for place, (column, groups) in enumerate(
        zip(schema.columns, groups_of(schema, reference.grouping), strict=True)
    ):
        at = groups.places
        found.append(
            {
                "column": plain(column.name),
                "unit": plain(column.unit) if isinstance(column, NumberColumn) and column.unit else "",
                "number": isinstance(column, NumberColumn),
                "labels": list(groups.labels),
                "synthetic": _rounded(ours.single[at]),
                "reference": None if theirs is None else _rounded(theirs.single[at]),
                "deviation": None if theirs is None else _rounded(theirs.deviations[at]),
                "distance": None if apart is None else round(float(apart[place]), 4),
            }
        )
    return found


def _table_projection(
    grouped: Codes, real: Codes | None, ours: TwoWay, theirs: TwoWay | None
) -> dict[str, Any]:
    plane = of_table(ours if theirs is None else theirs)
    starts = ours.starts
    found = _plane_facts(plane)
    found["synthetic"] = _rounded(plane.one_hot(grouped[:_POINTS], starts), 3)
    found["reference"] = None if real is None else _rounded(plane.one_hot(real[:_POINTS], starts), 3)
    if real is None and theirs is not None:
        found["ellipse"] = plane.ellipse(theirs.single, theirs.covariance)
    return found


def array_comparison(synthetic: Arrays, schema: ArraySchema, reference: Reference | None) -> dict[str, Any]:
    """A projection of images or signals, the shares of their classes, and the spectra of signals."""
    real = reference.records if reference and isinstance(reference.records, Arrays) else None
    some, others = _some(synthetic), None if real is None else _some(real)
    plane = of_arrays((some if others is None else others).values)
    names = [plain(str(value)) for value in schema.label.categories]
    found: dict[str, Any] = {
        "classes": names,
        "shares": _shares(synthetic, schema),
        "shares_reference": None if real is None else _shares(real, schema),
        "projection": {
            **_plane_facts(plane),
            "synthetic": _rounded(plane.rows(some.values), 3),
            "labels": some.labels.tolist(),
            "reference": None if others is None else _rounded(plane.rows(others.values), 3),
        },
    }
    if isinstance(schema, SignalSchema):
        found["spectra"] = _spectra(synthetic, real, schema)
    return found


def _some(arrays: Arrays) -> Arrays:
    return arrays.take(np.arange(min(_POINTS, len(arrays))))


def _shares(arrays: Arrays, schema: ArraySchema) -> list[float]:
    return list(_rounded(np.bincount(arrays.labels, minlength=schema.classes) / max(len(arrays), 1)))


def _spectra(synthetic: Arrays, real: Arrays | None, schema: SignalSchema) -> dict[str, Any]:
    """Mean power at each frequency, by class and channel: [classes][channels][frequencies]."""
    frequencies = np.fft.rfftfreq(schema.length, 1 / schema.sampling_rate)[1:]
    edges = np.unique(np.linspace(0, len(frequencies), min(_FREQUENCIES, len(frequencies)) + 1).astype(int))
    starts = edges[:-1]
    return {
        "frequencies": _rounded(frequencies[starts], 4),
        "synthetic": _mean_power(synthetic, schema, starts),
        "reference": None if real is None else _mean_power(real, schema, starts),
    }


def _mean_power(arrays: Arrays, schema: SignalSchema, starts: NDArray[np.int64]) -> list[Any]:
    found: list[Any] = []
    for code in range(schema.classes):
        mine = arrays.values[arrays.labels == code][:_POINTS].astype(np.float64)
        if not len(mine):
            found.append(None)
            continue
        power = (np.abs(np.fft.rfft(mine, axis=2))[:, :, 1:] ** 2).mean(0) / schema.length**2
        sizes = np.diff([*starts, power.shape[1]])
        found.append([[float(f"{x:.4g}") for x in row] for row in np.add.reduceat(power, starts, 1) / sizes])
    return found


def _plane_facts(plane: Plane) -> dict[str, Any]:
    return {"variance": _rounded(plane.variance), "reference": None, "ellipse": None}


def _rounded(values: Array, digits: int = 5) -> Any:
    return np.round(values, digits).tolist()
