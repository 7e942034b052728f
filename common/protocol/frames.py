"""A frame: who says what in which step of which plan, signed; and the bytes said.

The signature covers the header, the header the SHA-256 of the body. So a header with its signature
(a *seal*) proves what a site sent without repeating it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgpack

from ..crypto.identity import Identity, verify
from ..errors import MalformedMessageError, SignatureError, WrongPlanError

_DOMAIN = b"fedcgan/v1/frame\x00"
_VERSION = 1
_HEADER_LIMIT = 1024
_TEXT_LIMIT = 64  # bytes of a kind, a plan's hash, a step id, a name
_DIGEST_BYTES, _SIGNATURE_BYTES = 32, 64


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

    @property
    def length(self) -> int:
        """Bytes of the wire form, without making it."""
        return 1 + sum(map(_encoded_length, (self.header._to_bytes(), self.signature, self.body)))

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
        head, signature, body = unpack(raw, containers=1, entries=3)
        if not (isinstance(head, bytes) and isinstance(signature, bytes) and isinstance(body, bytes)):
            raise TypeError
        if len(head) > _HEADER_LIMIT or len(signature) != _SIGNATURE_BYTES:
            raise ValueError
        _, kind, plan, step, sender, digest = unpack(head, containers=1, entries=6)
        if not isinstance(digest, bytes) or len(digest) != _DIGEST_BYTES:
            raise ValueError
        if any(len(text.encode()) > _TEXT_LIMIT for text in (kind, plan, step, sender)):
            raise ValueError
        header = Header(kind=kind, plan=plan, step=step, sender=sender, digest=digest)
        frame = Frame(header, signature, body)
        if header._to_bytes() != head or len(raw) != frame.length:  # another version, or a second encoding
            raise ValueError
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise MalformedMessageError(
            "these bytes are no message of this version",
            hint="the message was cut or altered on its way, or the other side runs another version",
        ) from error
    return frame


def unpack(raw: bytes, *, containers: int, entries: int) -> Any:
    """The msgpack object in ``raw``: at most so many lists and maps in all, of so many entries each.

    msgpack sets a list up at the length its header claims, and small objects weigh many times their bytes
    on the wire; so what is allocated is bounded here, not by the length of ``raw``.
    Raises ValueError, TypeError or msgpack.UnpackException.
    """
    left = containers

    def counted(container: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"more than {containers} lists and maps")
        return container

    return msgpack.unpackb(
        raw,
        object_hook=counted,
        list_hook=counted,
        max_bin_len=len(raw),
        max_array_len=entries,
        max_map_len=entries,
        max_ext_len=0,
    )


def _encoded_length(content: bytes) -> int:
    """Of msgpack's shortest form of bytes; every other form is longer."""
    return len(content) + (2 if len(content) < 1 << 8 else 3 if len(content) < 1 << 16 else 5)


def check_plan(header: Header, plan: str) -> None:
    """Raise WrongPlanError unless the frame belongs to this plan."""
    if header.plan != plan:
        raise WrongPlanError("a message of another plan", hint="it was replayed from another run")


def check(frame: Frame, identity: str, *, plan: str, sender: str, with_body: bool = True) -> Frame:
    """Return the frame if ``identity`` signed it for this plan and sender and the body is whole.

    Raises WrongPlanError or SignatureError.
    """
    header = frame.header
    check_plan(header, plan)
    if header.sender != sender:
        raise SignatureError("a message from another sender")
    if with_body and hashlib.sha256(frame.body).digest() != header.digest:
        raise SignatureError("the content of a message was altered")
    verify(identity, _DOMAIN + header._to_bytes(), frame.signature)
    return frame
