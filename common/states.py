"""The public state that a coordinator sends with a request: only released things, bounded and checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from .errors import MalformedMessageError
from .modalities.array_layout import ArrayLayout
from .modalities.gram import GramFeatures
from .modalities.grouping import Grouping
from .schema import ArraySchema, Schema, TableSchema

Array = NDArray[np.float64]

_MOST_RECORDS = 1e9  # in all sites together
_LIMIT = 1e4  # no honest weight comes near; beyond it float32 could overflow on a record
_HEADER_LIMIT = 4096  # bytes; five names, shapes and offsets are 400


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureState:
    """What the measure step starts from: how codes are grouped."""

    grouping: Grouping

    def to_bytes(self) -> bytes:
        """safetensors."""
        return safetensors.numpy.save({"groups": _narrow(self.grouping)})

    @classmethod
    def from_bytes(cls, raw: bytes, schema: TableSchema) -> MeasureState:
        """Raises MalformedMessageError unless it fits the schema."""
        (groups,) = _load(raw, "groups")
        return cls(grouping=_grouping(groups, schema))


@dataclass(frozen=True, kw_only=True, slots=True)
class StepState:
    """What a step of schedule ``every-step`` starts from.

    grouping: of a table's codes, None for images and signals; entered: the parameters that records enter,
    float32[count]
    """

    grouping: Grouping | None
    entered: NDArray[np.float32]

    @property
    def tensors(self) -> dict[str, NDArray[Any]]:
        """By name."""
        groups = {} if self.grouping is None else {"groups": _narrow(self.grouping)}
        return {**groups, "entered": self.entered}

    def to_bytes(self) -> bytes:
        """safetensors."""
        return safetensors.numpy.save(self.tensors)

    @classmethod
    def from_bytes(cls, raw: bytes, schema: Schema) -> StepState:
        """Raises MalformedMessageError unless it fits the schema and every weight is bounded."""
        table = isinstance(schema, TableSchema)
        entered, *groups = _load(raw, "entered", *(("groups",) if table else ()))
        _check_floats(entered)
        if entered.ndim != 1:
            raise MalformedMessageError("a training state of other shapes")
        grouping = _grouping(groups[0], schema) if isinstance(schema, TableSchema) else None
        return cls(grouping=grouping, entered=entered)


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundState:
    """What a round of schedule ``local`` starts from.

    parameters: generator, then discriminator, float32; the rest: released moments, as MomentLoss takes them
    """

    grouping: Grouping
    parameters: NDArray[np.float32]
    singles: Array
    pairs: Array
    single_precision: Array
    noise: float
    prior: Array

    def to_bytes(self) -> bytes:
        """safetensors."""
        tensors = {
            "groups": _narrow(self.grouping),
            "parameters": self.parameters,
            "singles": self.singles.astype(np.float32),
            "pairs": self.pairs.astype(np.float32),
            "single_precision": self.single_precision.astype(np.float32),
            "noise": np.array([self.noise], np.float32),
            "prior": self.prior.astype(np.float32),
        }
        return safetensors.numpy.save(tensors)

    @classmethod
    def from_bytes(cls, raw: bytes, schema: TableSchema, features: GramFeatures) -> RoundState:
        """Raises MalformedMessageError unless it fits the schema, bounded, with a distribution as prior."""
        groups, *arrays = _load(
            raw, "groups", "parameters", "singles", "pairs", "single_precision", "noise", "prior"
        )
        width, classes = len(features.owner), features.classes
        one, two = (classes, width), (classes, width, width)
        combinations = math.prod(features.layout.conditions)
        if [array.shape for array in arrays[1:]] != [one, two, one, (1,), (combinations,)]:
            raise MalformedMessageError("a training state of other shapes")
        for array in arrays:
            _check_floats(array)
        if arrays[0].ndim != 1:
            raise MalformedMessageError("a training state of other shapes")
        singles, pairs, precision, noise, prior = (array.astype(np.float64) for array in arrays[1:])
        if (prior < 0).any() or prior.sum() <= 0 or noise[0] <= 0:
            raise MalformedMessageError("a training state whose prior is no distribution, or without noise")
        return cls(
            grouping=_grouping(groups, schema),
            parameters=arrays[0],
            singles=singles,
            pairs=pairs,
            single_precision=precision,
            noise=float(noise[0]),
            prior=prior,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayRoundState:
    """What a round of schedule ``local`` on images or signals starts from.

    parameters: generator, then discriminator, float32; total: the released sum of features, float64[count];
    prior: share of each class
    """

    parameters: NDArray[np.float32]
    total: Array
    prior: Array

    def to_bytes(self) -> bytes:
        """safetensors."""
        tensors = {
            "parameters": self.parameters,
            "total": self.total.astype(np.float32),
            "prior": self.prior.astype(np.float32),
        }
        return safetensors.numpy.save(tensors)

    @classmethod
    def from_bytes(cls, raw: bytes, layout: ArrayLayout, count: int) -> ArrayRoundState:
        """Raises MalformedMessageError unless it fits, bounded, with a distribution as prior."""
        parameters, total, prior = _load(raw, "parameters", "total", "prior")
        if parameters.ndim != 1 or total.shape != (count,) or prior.shape != (layout.classes,):
            raise MalformedMessageError("a training state of other shapes")
        for array, limit in ((parameters, _LIMIT), (total, _MOST_RECORDS), (prior, 1.0)):
            _check_floats(array, limit)
        if (prior < 0).any() or prior.sum() <= 0:
            raise MalformedMessageError("a training state whose prior is no distribution")
        return cls(parameters=parameters, total=total.astype(np.float64), prior=prior.astype(np.float64))


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateState:
    """What the evaluation starts from: synthetic records, of the release.

    rows: as ``Records`` holds them, int64[records, columns], or uint8 or float32[records, values + 1]
    judge: the networks that records entered in training, as they were last; None where there was none
    """

    rows: NDArray[Any]
    judge: StepState | None

    def to_bytes(self) -> bytes:
        """safetensors; codes of a table as int16."""
        rows = self.rows.astype(np.int16) if self.rows.dtype == np.int64 else self.rows
        tensors: dict[str, NDArray[Any]] = {"rows": np.ascontiguousarray(rows)}
        return safetensors.numpy.save({**tensors, **(self.judge.tensors if self.judge else {})})

    @classmethod
    def from_bytes(cls, raw: bytes, schema: Schema, count: int, *, judged: bool) -> EvaluateState:
        """Raises MalformedMessageError unless there are ``count`` records that the schema allows.

        judged: whether the plan trains networks that records enter
        """
        (rows,) = _load(raw, "rows")
        judge = StepState.from_bytes(raw, schema) if judged else None
        if isinstance(schema, TableSchema):
            kind: type[np.generic] = np.int16
            width = len(schema.columns)
        else:
            assert isinstance(schema, ArraySchema)
            layout = ArrayLayout.of(schema)
            kind, width = np.uint8 if layout.whole else np.float32, layout.values + 1
        if rows.dtype != kind or rows.shape != (count, width):
            raise MalformedMessageError("synthetic records of another shape or type")
        if isinstance(schema, TableSchema):
            codes = rows.astype(np.int64)
            if (codes < 0).any() or (codes >= np.array(schema.sizes)).any():
                raise MalformedMessageError("synthetic records that the schema does not allow")
            return cls(rows=codes, judge=judge)
        if not np.isin(rows[:, -1], np.arange(layout.classes)).all():
            raise MalformedMessageError("synthetic records of classes that the schema does not know")
        if kind == np.float32:
            _check_floats(layout.scaled(rows), 1.0 + 1e-5)
        return cls(rows=rows, judge=judge)


def _load(raw: bytes, *names: str) -> list[NDArray[np.float32]]:
    if int.from_bytes(raw[:8], "little") > _HEADER_LIMIT:
        raise MalformedMessageError("a training state with too long a header")
    try:
        tensors = safetensors.numpy.load(raw)
        return [tensors[name] for name in names]
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise MalformedMessageError("this is no state of a training round") from error


def _check_floats(array: NDArray[np.float32], limit: float = _LIMIT) -> None:
    if array.dtype != np.float32:
        raise MalformedMessageError("a training state of another type than float32")
    with np.errstate(invalid="ignore"):  # a signalling NaN warns in any comparison; it fails this one
        if not (np.abs(array) <= limit).all():
            raise MalformedMessageError(f"a training state beyond {limit:g}, or not finite")


def _narrow(grouping: Grouping) -> NDArray[np.int32]:
    return grouping.groups.astype(np.int32)


def _grouping(groups: NDArray[np.float32], schema: TableSchema) -> Grouping:
    if groups.dtype != np.int32:
        raise MalformedMessageError("a grouping of another type than int32")
    return Grouping.from_wire(groups.astype(np.int64), schema)
