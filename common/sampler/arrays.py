"""Images and signals: noise and labels in, values out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .balance import strata
from .columns import Category, Values
from .conditions import read_wanted
from .memory import check_fits
from .possible import possible
from .sampling import extrapolated
from .table import Table

ArrayNetwork = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[Any]]
"""Noise float32[M, Z] and labels int64[M] to values between -1 and 1, float32[M, channels, ...]."""

MOST_VALUES, MOST_CLASSES, MOST_LATENT = 1 << 17, 256, 4096
_BATCH = 512  # records at a time, which bounds memory


@dataclass(frozen=True, slots=True, eq=False)
class ArrayKind:
    """What the generator of images or signals says about itself.

    shape: channels, then height and width, or length; bounds: of each channel, which become -1 and 1
    whole: values are integers of 8 bits; rate: samples a second, of signals; units: of each channel
    latent: dimension of the noise, of which ``categories`` come first as a one-hot choice, then ``factors``
    as uniform numbers; prior: share of each class; records: estimated units; noise: deviation of a count
    """

    label: Category
    shape: tuple[int, ...]
    bounds: tuple[tuple[float, float], ...]
    whole: bool
    rate: float
    units: tuple[str, ...]
    latent: int
    categories: int
    factors: int
    prior: NDArray[np.float64]
    records: float
    noise: float

    def natural(self, scaled: NDArray[Any]) -> NDArray[Any]:
        """Values as files hold them, uint8 or float32[records, channels, ...]."""
        low, high = np.array(self.bounds, np.float32).T.reshape(2, -1, *[1] * (len(self.shape) - 1))
        values = np.clip(scaled, -1.0, 1.0) * ((high - low) / 2) + (low + high) / 2
        return np.asarray(np.rint(values), np.uint8) if self.whole else np.asarray(values, np.float32)

    def points(self, count: int, random: np.random.Generator) -> NDArray[np.float32]:
        """Noise to start from, float32[count, latent]."""
        noise = random.standard_normal((count, self.latent), np.float32)
        start, end = self.categories, self.categories + self.factors
        if start:
            noise[:, :start] = np.eye(start, dtype=np.float32)[random.integers(start, size=count)]
        noise[:, start:end] = random.uniform(-1, 1, (count, end - start))
        return noise


@dataclass(frozen=True, slots=True, eq=False)
class ArraySample:
    """Synthetic records. values: as files hold them; labels: codes, int64[records]

    extrapolated: classes among them that training saw rarely or never
    """

    values: NDArray[Any]
    labels: NDArray[np.int64]
    extrapolated: tuple[dict[str, str | int], ...]

    def __len__(self) -> int:
        return len(self.labels)


def sample_arrays(
    kind: ArrayKind,
    network: ArrayNetwork,
    count: int,
    where: Sequence[str] = (),
    balance: str | None = None,
    seed: int = 0,
) -> ArraySample:
    """``count`` records with the given label, else classes in the shares of the prior, or in equal ones.

    Raises UnknownValueError, RequestError (also if so many do not fit into memory) or ImpossibleError.
    """
    random = np.random.default_rng(seed)
    table = _labels(kind)
    grid = table.grid()
    asked = possible(table, read_wanted(where, table), grid)
    if count > _BATCH:  # in parts, and joined; and the noise of all
        check_fits(count, 2 * math.prod(kind.shape) * (1 if kind.whole else 4) + 4 * kind.latent)
    parts = []
    for inside, share in strata(table, balance, grid, asked, count, random):
        weights = np.where(inside, kind.prior, 0.0)
        ends = np.cumsum(weights if weights.sum() else inside)
        places = (np.arange(share) + random.random()) / max(share, 1) * ends[-1]
        parts.append(np.minimum(np.searchsorted(ends, places, side="right"), np.nonzero(inside)[0][-1]))
    labels = random.permutation(np.concatenate(parts))
    values = _values(kind, network, kind.points(count, random), labels)
    shown = {kind.label.name: Values(labels, np.zeros(count, bool))}
    return ArraySample(values, labels, extrapolated(table, shown))


def interpolate(kind: ArrayKind, network: ArrayNetwork, steps: int, seed: int) -> NDArray[Any]:
    """Between two points of the latent space, the same for every class: [classes, steps, channels, ...].

    On the great circle through both, so that every point between is as likely (White 2016).
    """
    start, end = kind.points(2, np.random.default_rng(seed))
    cosine = start @ end / (np.linalg.norm(start) * np.linalg.norm(end))
    angle = max(float(np.arccos(np.clip(cosine, -1, 1))), 1e-4)
    places = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    path = (np.sin((1 - places) * angle) * start + np.sin(places * angle) * end) / np.float32(np.sin(angle))
    classes = kind.label.size
    made = _values(kind, network, np.tile(path, (classes, 1)), np.repeat(np.arange(classes), steps))
    return made.reshape(classes, steps, *kind.shape)


def _values(
    kind: ArrayKind, network: ArrayNetwork, noise: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[Any]:
    parts = [slice(start, start + _BATCH) for start in range(0, max(1, len(labels)), _BATCH)]
    return np.concatenate([kind.natural(network(noise[p], labels[p])) for p in parts])


def _labels(kind: ArrayKind) -> Table:
    """The label alone, as a table of one condition."""
    size = kind.label.size
    counted = (kind.prior, 1, kind.records, kind.noise)
    return Table((kind.label,), (), (size,), np.arange(size), np.ones(size), *counted)


def array_metadata(kind: ArrayKind) -> dict[str, Any]:
    """As JSON values, for ``read_arrays``."""
    return {
        "label": {
            "name": kind.label.name,
            "values": list(kind.label.categories),
            "ordered": kind.label.ordered,
        },
        "shape": list(kind.shape),
        "bounds": [list(pair) for pair in kind.bounds],
        "whole": kind.whole,
        "rate": kind.rate,
        "units": list(kind.units),
        "noise_shape": [kind.latent, kind.categories, kind.factors],
        "prior": kind.prior.tolist(),
        "records": kind.records,
        "noise": kind.noise,
    }


def read_arrays(about: dict[str, Any]) -> ArrayKind:
    """The inverse. Raises ValueError, KeyError or TypeError on anything else."""
    label, values = about["label"], tuple(about["label"]["values"])
    latent, categories, factors = (int(number) for number in about["noise_shape"])
    found = ArrayKind(
        Category(str(label["name"]), values, bool(label["ordered"]), False, True),
        tuple(int(side) for side in about["shape"]),
        tuple((float(low), float(high)) for low, high in about["bounds"]),
        bool(about["whole"]),
        float(about["rate"]),
        tuple(str(unit) for unit in about["units"]),
        latent,
        categories,
        factors,
        np.array(about["prior"], np.float64),
        float(about["records"]),
        float(about["noise"]),
    )
    sizes = 2 <= len(values) <= MOST_CLASSES and len({type(v) for v in values}) == 1
    if not sizes or type(values[0]) not in (str, int) or found.prior.shape != (len(values),):
        raise ValueError("no label")
    if len(found.shape) not in (2, 3) or min(found.shape) < 1 or math.prod(found.shape) > MOST_VALUES:
        raise ValueError("no shape")
    if not len(found.bounds) == len(found.units) == found.shape[0] or any(a >= b for a, b in found.bounds):
        raise ValueError("no channels")
    if min(categories, factors) < 0 or not max(1, categories + factors) <= latent <= MOST_LATENT:
        raise ValueError("no noise")
    if found.whole and set(found.bounds) != {(0.0, 255.0)}:
        raise ValueError("no values of 8 bits")
    for part in (found.prior, np.array([found.records, found.noise, found.rate])):
        if not ((part >= 0) & (part < np.inf)).all():
            raise ValueError("a share that is none")
    return found
