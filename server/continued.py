"""The noisy sums of a run and of those it continues, added: post-processing of what was released."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from common.contributions import array_features, histograms, pairs
from common.earlier import FOLDER
from common.errors import MalformedMessageError, StorageError
from common.modalities.grouping import Grouping
from common.plan import Plan
from common.release_files import load_sums
from common.schema import ArraySchema, Schema, TableSchema

from .checkpoint import Checkpoint

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sums:
    """Opened sums as they are released.

    moments: of feature maps, float64; counts: of histograms, float64; grouping: of a table's codes, which
    ``moments`` counts pairs of. Images and signals have neither counts nor grouping.
    """

    moments: Array
    counts: Array | None
    grouping: Grouping | None

    def to_bytes(self) -> bytes:
        """safetensors."""
        tensors: dict[str, NDArray[Any]] = {"moments": self.moments}
        if self.counts is not None:
            tensors["counts"] = self.counts
        if self.grouping is not None:
            tensors |= {"groups": self.grouping.groups, "shares": self.grouping.shares}
        return safetensors.numpy.save(tensors)

    @classmethod
    def from_bytes(cls, raw: bytes, schema: Schema, plan: Plan) -> Sums:
        """Raises StorageError unless they are sums that the plan's can be added to."""
        try:
            tensors = {name: _sound(tensor) for name, tensor in safetensors.numpy.load(raw).items()}
            moments = tensors["moments"]
            if isinstance(schema, ArraySchema):
                return cls(_grown(moments, schema, plan), None, None)
            assert isinstance(schema, TableSchema)
            groups = Grouping.from_wire(tensors["groups"].astype(np.int64), schema).groups
            found = cls(moments, tensors["counts"], Grouping(groups, tensors["shares"]))
            lengths = (pairs(schema, plan).count, histograms(schema).count, len(groups))
            if (len(moments), len(tensors["counts"]), len(tensors["shares"])) != lengths:
                raise ValueError("sums of other lengths")
        except (SafetensorError, MalformedMessageError, KeyError, TypeError, ValueError) as error:
            raise StorageError(
                "the sums to continue are not of this schema and feature map", hint="get the release again"
            ) from error
        return found


def earlier_sums(plan: Plan, schema: Schema, state: Checkpoint) -> Sums | None:
    """The sums that a run's own are added to, with zeros for classes it declares anew; None if it has none.

    Raises StorageError if they are absent, or not those that the plan names.
    """
    if plan.continues is None:
        return None
    return Sums.from_bytes(load_sums(state.path.parent / FOLDER, plan.continues.sums), schema, plan)


def pooled(plan: Plan, schema: Schema, state: Checkpoint) -> tuple[Array, Array | None]:
    """Opened moments and counts, the earlier ones added. Call after step ``measure`` (counts: ``count``)."""
    assert state.moments is not None
    before = earlier_sums(plan, schema, state)
    if before is None:
        return state.moments, state.counts
    if state.counts is None or before.counts is None:
        return state.moments + before.moments, None
    return state.moments + before.moments, state.counts + before.counts


def _sound(tensor: NDArray[Any]) -> NDArray[Any]:
    """What a file of ours can hold. Raises ValueError."""
    if tensor.ndim != 1 or tensor.dtype not in (np.float64, np.int64) or not np.isfinite(tensor).all():
        raise ValueError("not a list of finite numbers")
    return tensor


def _grown(moments: Array, schema: ArraySchema, plan: Plan) -> Array:
    """Zeros appended for classes that the earlier label did not have."""
    features = array_features(schema, plan)
    missing = features.count - len(moments)
    if missing < 0 or missing % features.block:
        raise ValueError("sums of other lengths")
    return np.concatenate([moments, np.zeros(missing)])
