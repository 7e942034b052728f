"""Bytes that lie: how honest bytes are altered, and what a hostile sender writes by hand."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence

_DEEP = 100_000
_SAFETENSORS = {
    "huge": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]},
    "empty but huge": {"dtype": "F32", "shape": [0, 1 << 62, 4], "data_offsets": [0, 0]},
    "many axes": {"dtype": "F32", "shape": [0] * 100, "data_offsets": [0, 0]},
    "complex": {"dtype": "C64", "shape": [0], "data_offsets": [0, 0]},
    "bf16": {"dtype": "BF16", "shape": [0], "data_offsets": [0, 0]},
    "backwards": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
}

LIES: tuple[bytes, ...] = (
    b"\xdd\xff\xff\xff\xff",  # a list of 4 G
    b"\xdf\xff\xff\xff\xff",  # a map of 4 G
    b"\xc6\xff\xff\xff\xff",  # 4 GB of bytes
    b"\xdb\xff\xff\xff\xff",  # 4 GB of text
    b"\xc9\xff\xff\xff\xff\x01",  # an extension of 4 GB
    b"\xd7\xff" + b"\xff" * 8,  # a time out of range
    b"\xc1",  # never used
    b"\xa1\xff",  # no UTF-8
    b"\x81\xc0\xc0",  # a key that is no text
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",  # not a number
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"9" * 400,
    b"9" * 5000,
    b'"\\ud800"',
    b"null",
    b"\x00",
    b"-1",
)

ROWS = [b"\xdd" + struct.pack(">I", length) for length in (1 << 10, 1_000_000)]


def _safetensors(header: dict[str, object], body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


_NAMES = (
    "groups",
    "discriminator",
    "entered",
    "total",
    "shares",
    "parameters",
    "singles",
    "pairs",
    "single_precision",
    "noise",
    "prior",
    "counts",
    "moments",
    "average",
    "first",
    "second",
    "sum",
)

WHOLE: tuple[bytes, ...] = (
    b"",
    *LIES,
    b"\x91" * _DEEP,
    b"\x81\xa1a" * _DEEP,
    b"[" * _DEEP,
    b'{"a":' * _DEEP,
    b"a = " + b"[" * 1000,
    b"a = " + b"9" * 5000,
    b'{"name": 1, "name": 2}',
    b"[]",
    b'"text"',
    *(row * 1000 + bytes(1_000_000) for row in ROWS),
    b"\xdc\x00\x03" + b"\x93\x93\x90\x90\x90\x90\x90" * 100_000,
    struct.pack("<Q", 1 << 62),
    struct.pack("<Q", 90_000_000) + b"{" * 1000,
    *(_safetensors(dict.fromkeys(_NAMES, lie)) for lie in _SAFETENSORS.values()),
    *(_safetensors({name: lie}) for name in _NAMES for lie in _SAFETENSORS.values()),
    _safetensors({"__metadata__": {"fedcgan": "[" * _DEEP}}),
    _safetensors({"__metadata__": {"fedcgan": '"text"'}}),
    _safetensors({"__metadata__": {"fedcgan": '{"trouble": []}'}}),
    _safetensors({"__metadata__": {"fedcgan": '{"trouble": [], "plan": "x", "path": "y", "foreign": 1}'}}),
)
"""Whole messages and files; each is fed to every decoder."""

Change = tuple[int, int, int]
"""What to do, where, and with what: any three integers."""


def mutate(seeds: Sequence[bytes], changes: Sequence[Change]) -> bytes:
    """An honest encoding after some changes. ``seeds`` must not be empty."""
    raw = seeds[changes[0][2] % len(seeds)] if changes else seeds[0]
    for what, where, value in changes:
        place = where % (len(raw) + 1)
        lie = LIES[value % len(LIES)]
        other = seeds[value % len(seeds)]
        length = 1 + value % 16
        raw = (
            raw[:place] + bytes(b ^ (1 << value % 8) for b in raw[place : place + 1]) + raw[place + 1 :],
            raw[:place],
            raw[:place] + raw[place : place + 64] + raw[place:],
            raw[:place] + raw[place + length :],
            raw[:place] + other[value % (len(other) + 1) :],
            raw[:place] + lie + raw[place:],
            raw[:place] + lie + raw[place + len(lie) :],
            raw[:place] + bytes([value % 256]) * length + raw[place + length :],
        )[what % 8]
    return raw
