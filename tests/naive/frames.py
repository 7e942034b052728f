"""Frames: msgpack [header, signature, body], header = msgpack [1, kind, plan, step, sender, SHA-256(body)].

Ed25519 signs "fedcgan/v1/frame", a zero byte, and the header. A seal is the frame with an empty body.
"""

import hashlib
from typing import Any

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .refusal import Refusal, refuse_if

LABEL = b"fedcgan/v1/frame\x00"

MESSAGES: dict[str, dict[str, type]] = {
    "enrolled": {"agreement": bytes, "nonce": bytes},
    "key-committed": {"commitment": bytes},
    "contribution": {"ciphertext": bytes, "tag": bytes},
    "opened": {"asked": bytes, "partial": bytes},
}
"""Bodies of those messages that carry the sum, as msgpack maps in this order of fields."""


def public(private: bytes) -> str:
    """An identity: 64 hexadecimal digits."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw().hex()


def header(kind: str, plan: str, step: str, sender: str, body: bytes) -> bytes:
    """What is signed, without the label."""
    packed: bytes = msgpack.packb([1, kind, plan, step, sender, hashlib.sha256(body).digest()])
    return packed


def sign(private: bytes, kind: str, plan: str, step: str, sender: str, body: bytes) -> bytes:
    """A frame."""
    head = header(kind, plan, step, sender, body)
    signature = Ed25519PrivateKey.from_private_bytes(private).sign(LABEL + head)
    packed: bytes = msgpack.packb([head, signature, body])
    return packed


def seal(raw: bytes) -> bytes:
    """The frame without its body."""
    head, signature, _ = msgpack.unpackb(raw)
    packed: bytes = msgpack.packb([head, signature, b""])
    return packed


def _unpack(raw: bytes) -> Any:
    try:
        return msgpack.unpackb(raw)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Refusal("protocol-malformed") from error


def read(raw: bytes, limit: int) -> tuple[list[Any], bytes, bytes, bytes]:
    """(header fields, header, signature, body), nothing verified."""
    code = "protocol-malformed"
    refuse_if(len(raw) > limit, code)
    frame = _unpack(raw)
    refuse_if(not isinstance(frame, list) or [type(part) for part in frame] != [bytes] * 3, code)
    head, signature, body = frame
    refuse_if(len(head) > 1024, code)
    fields = _unpack(head)
    refuse_if(not isinstance(fields, list), code)
    refuse_if([type(field) for field in fields] != [int, str, str, str, str, bytes] or fields[0] != 1, code)
    refuse_if(any(len(text.encode()) > 64 for text in fields[1:5]), code)
    refuse_if(len(fields[5]) != 32 or len(signature) != 64, code)
    refuse_if(msgpack.packb(fields) != head or msgpack.packb(frame) != raw, code)  # a frame has one form
    return fields, head, signature, body


def check(raw: bytes, limit: int, identity: str, plan: str, sender: str, with_body: bool) -> None:
    """Signed by ``identity`` for this plan and sender, the body whole; or a refusal."""
    code = "protocol-signature"
    fields, head, signature, body = read(raw, limit)
    refuse_if(fields[2] != plan, "protocol-wrong-plan")
    refuse_if(fields[4] != sender, code)
    refuse_if(with_body and hashlib.sha256(body).digest() != fields[5], code)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(identity)).verify(signature, LABEL + head)
    except (InvalidSignature, ValueError) as error:
        raise Refusal(code) from error


def message(kind: str, fields: dict[str, bytes]) -> bytes:
    """The body of a frame."""
    packed: bytes = msgpack.packb({name: fields[name] for name in MESSAGES[kind]})
    return packed


def parse(kind: str, raw: bytes) -> dict[str, bytes]:
    """The fields of a body: all of them, no others, of their types."""
    found = _unpack(raw)
    refuse_if(not isinstance(found, dict), "protocol-malformed")
    types = {name: type(value) for name, value in found.items()}
    refuse_if(types != MESSAGES[kind], "protocol-malformed")
    return dict(found)
