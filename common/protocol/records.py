"""Frames in Flower's records: one opaque array, which Flower sends in chunks and never interprets."""

from __future__ import annotations

from flwr.app import Array, ArrayRecord, RecordDict

from ..errors import MalformedMessageError

STYPE = "fedcgan.frame.v1"
MESSAGE_TYPE = "query"


def to_record(raw: bytes) -> RecordDict:
    """A frame's bytes as the content of a Flower message."""
    return RecordDict({"frame": ArrayRecord({"frame": Array("uint8", (len(raw),), STYPE, raw)})})


def from_record(record: RecordDict) -> bytes:
    """The bytes again. Raises MalformedMessageError for anything else."""
    try:
        array = record.array_records["frame"]["frame"]
    except KeyError as error:
        raise MalformedMessageError("a Flower message without a frame") from error
    if array.stype != STYPE or tuple(array.shape) != (len(array.data),):
        raise MalformedMessageError("a Flower message with a foreign array")
    return array.data
