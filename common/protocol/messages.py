"""The messages of a run. A secure sum is two of them to a site: ``Contribute`` and ``Open``.

There is no message that carries an update in the clear: ``Contribution`` holds ciphertexts only.
"""

from __future__ import annotations

from typing import ClassVar, Self

import msgpack
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import MalformedMessageError

ATTESTED = "attested"
"""Kind of the frame in which a site vouches for the joint key; its body is the key's SHA-256."""


class Message(BaseModel):
    """Base of all messages; fields are public to whoever relays them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kind: ClassVar[str]

    def to_bytes(self) -> bytes:
        """The body of a frame."""
        return bytes(msgpack.packb(self.model_dump()))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Parse a body. Raises MalformedMessageError."""
        try:
            return cls.model_validate(msgpack.unpackb(raw, max_bin_len=len(raw)))
        except (ValueError, TypeError, ValidationError, msgpack.UnpackException) as error:
            raise MalformedMessageError(f"these bytes are no {cls.kind!r} message") from error


class Enrol(Message):
    """Coordinator: will you take part in this plan, under this schema of the table? (canonical JSON both)"""

    kind = "enrol"
    plan: bytes
    table: bytes


class Enrolled(Message):
    """Site: yes. agreement: X25519 public key of this run; nonce: 32 bytes for the common reference."""

    kind = "enrolled"
    agreement: bytes
    nonce: bytes


class KeyCommit(Message):
    """Coordinator: all ``Enrolled`` frames. Commit to your piece of the key."""

    kind = "key-commit"
    enrolled: list[bytes]


class KeyCommitted(Message):
    """Key-holder: SHA-256 of its piece."""

    kind = "key-committed"
    commitment: bytes


class KeyDeal(Message):
    """Coordinator: all ``KeyCommitted`` frames. Show your piece and deal its shares."""

    kind = "key-deal"
    committed: list[bytes]


class KeyDealt(Message):
    """Key-holder: b_i, and for every site a box that only it can open: a piece of the sites' group key,
    and a share if the site is a key-holder."""

    kind = "key-dealt"
    piece: bytes
    boxes: dict[str, bytes]


class KeyConfirm(Message):
    """Coordinator: the frames so far, all pieces, and the boxes sealed for you."""

    kind = "key-confirm"
    enrolled: list[bytes]
    committed: list[bytes]
    pieces: dict[str, bytes]
    boxes: dict[str, bytes]


class KeyConfirmed(Message):
    """Site: a signed frame of kind ``attested`` with the SHA-256 of the joint key as computed here, and an
    encryption of known values under it."""

    kind = "key-confirmed"
    attested: bytes
    ciphertext: bytes
    tag: bytes


class Contribute(Message):
    """Coordinator: contribute to this step. state: the public model parameters (float32), if any;
    attested: every site's word for the joint key."""

    kind = "contribute"
    state: bytes
    attested: list[bytes]


class Contribution(Message):
    """Site: its noised, packed and encrypted contribution. tag: for the other sites' eyes, 44 bytes."""

    kind = "contribution"
    ciphertext: bytes
    tag: bytes


class Open(Message):
    """Coordinator: open this sum. c1: second half of the summed ciphertexts; seals and tags: of the
    summands, in the same order; openers: the key-holders that open together (1-based). May be asked again
    for the same sum with other openers."""

    kind = "open"
    c1: bytes
    seals: list[bytes]
    tags: list[bytes]
    openers: list[int]


class Opened(Message):
    """Key-holder: its partial decryption, smudged and masked."""

    kind = "opened"
    partial: bytes


class Refused(Message):
    """Site: no. A stable code, a sentence and a hint; never anything that depends on a record's value.
    about: the site whose contribution is at fault, if one is."""

    kind = "refused"
    code: str
    message: str
    hint: str
    about: str = ""
