"""A frame: who says what in which step of which plan, signed; and the bytes said.

The signature covers the header, the header the SHA-256 of the body. So a header with its signature
(a *seal*) proves what a site sent without repeating it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgpack

from ..crypto.identity import Identity, verify
from ..errors import MalformedMessageError, SignatureError

_DOMAIN = b"fedcgan/v1/frame\x00"
_VERSION = 1
_HEADER_LIMIT = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What the signature covers.

    plan: hash of the plan (64 hexadecimal digits); digest: SHA-256 of the body
    """

    kind: str
    plan: str
    step: str
    sender: str
    digest: bytes

    def _to_bytes(self) -> bytes:
        fields = (_VERSION, self.kind, self.plan, self.step, self.sender, self.digest)
        return bytes(msgpack.packb(fields))


@dataclass(frozen=True, slots=True)
class Frame:
    """A header, its signature, and the body (empty in a seal)."""

    header: Header
    signature: bytes
    body: bytes

    @property
    def seal(self) -> bytes:
        """The frame without its body."""
        return Frame(self.header, self.signature, b"").to_bytes()

    def to_bytes(self) -> bytes:
        """The wire form."""
        return bytes(msgpack.packb((self.header._to_bytes(), self.signature, self.body)))


def sign(identity: Identity, kind: str, plan: str, step: str, sender: str, body: bytes) -> Frame:
    """A signed frame around ``body``."""
    header = Header(kind=kind, plan=plan, step=step, sender=sender, digest=hashlib.sha256(body).digest())
    return Frame(header, identity.sign(_DOMAIN + header._to_bytes()), body)


def read(raw: bytes, limit: int) -> Frame:
    """Parse a frame of at most ``limit`` bytes. Nothing in it is verified yet.

    Raises MalformedMessageError.
    """
    if len(raw) > limit:
        raise MalformedMessageError(f"a message of {len(raw)} bytes, at most {limit} are allowed")
    try:
        head, signature, body = msgpack.unpackb(raw, max_bin_len=limit, max_array_len=3)
        if not (isinstance(head, bytes) and isinstance(signature, bytes) and isinstance(body, bytes)):
            raise TypeError
        if len(head) > _HEADER_LIMIT:
            raise ValueError
        version, kind, plan, step, sender, digest = msgpack.unpackb(head, max_array_len=6)
        if version != _VERSION or not isinstance(digest, bytes):
            raise ValueError
        if not all(isinstance(text, str) for text in (kind, plan, step, sender)):
            raise TypeError
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise MalformedMessageError(
            "these bytes are no message of this version",
            hint="the message was cut or altered on its way, or the other side runs another version",
        ) from error
    header = Header(kind=kind, plan=plan, step=step, sender=sender, digest=digest)
    return Frame(header, signature, body)


def check(frame: Frame, identity: str, *, plan: str, sender: str, with_body: bool = True) -> Frame:
    """Return the frame if ``identity`` signed it for this plan and sender and the body is whole.

    Raises SignatureError.
    """
    header = frame.header
    if header.plan != plan or header.sender != sender:
        raise SignatureError("a message for another plan or from another sender")
    if with_body and hashlib.sha256(frame.body).digest() != header.digest:
        raise SignatureError("the content of a message was altered")
    verify(identity, _DOMAIN + header._to_bytes(), frame.signature)
    return frame
