"""The messages of a run. A secure sum is two of them to a site: ``Contribute`` and ``Open``.

Each kind has a limit of its own, in bytes, that is checked before anything is parsed.

There is no message that carries an update in the clear: ``Contribution`` holds ciphertexts only.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, ClassVar, Self

import msgpack
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..crypto.encrypted import PIECE_LENGTH, SHARE_LENGTH
from ..crypto.parameters import MOST_HOLDERS, MOST_SITES
from ..errors import MalformedMessageError
from ..plan import PLAN_LIMIT
from ..schema import SCHEMA_LIMIT
from .frames import unpack

ATTESTED = "attested"
"""Kind of the frame in which a site vouches for the joint key; its body is the key's SHA-256."""


LARGEST = 1 << 30
"""Of a kind that carries ciphertexts or a state; their exact length follows from the plan."""

_SMALL = 512  # a few keys, hashes and names
SMALL_FRAME = 1024
"""Most bytes of a frame around a small body, or of a seal: what others are shown of a site's answer."""
_BOX = 32 + SHARE_LENGTH + 128  # a piece of the group key and a share, sealed, and whom it is for
_PIECE = PIECE_LENGTH + 128

_Frames = Annotated[list[bytes], Field(max_length=MOST_SITES)]
_OfHolders = Annotated[dict[str, bytes], Field(max_length=MOST_HOLDERS)]
_OfSites = Annotated[dict[str, bytes], Field(max_length=MOST_SITES)]


class Message(BaseModel):
    """Base of all messages; fields are public to whoever relays them. limit: most bytes of this kind"""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kind: ClassVar[str]
    limit: ClassVar[int]

    def to_bytes(self) -> bytes:
        """The body of a frame."""
        return bytes(msgpack.packb(self.model_dump()))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Parse a body. Raises MalformedMessageError."""
        if len(raw) > cls.limit:
            raise MalformedMessageError(
                f"a {cls.kind!r} message of {len(raw)} bytes, at most {cls.limit} are allowed"
            )
        try:
            # itself, and every field may be a list or a map of flat values
            return cls.model_validate(unpack(raw, containers=1 + len(cls.model_fields), entries=MOST_SITES))
        except (ValueError, TypeError, ValidationError, msgpack.UnpackException) as error:
            raise MalformedMessageError(f"these bytes are no {cls.kind!r} message") from error


class Propose(Message):
    """Coordinator: a plan and its schema, for a site's people to approve (canonical JSON both)."""

    kind = "propose"
    limit = PLAN_LIMIT + SCHEMA_LIMIT + _SMALL
    plan: bytes
    table: bytes


class Standing(Message):
    """Site: where a proposed plan stands with its people: pending, approved or refused."""

    kind = "standing"
    limit = _SMALL
    standing: str


class Enrol(Message):
    """Coordinator: will you take part in this plan, under this schema of the table? (canonical JSON both)"""

    kind = "enrol"
    limit = PLAN_LIMIT + SCHEMA_LIMIT + _SMALL
    plan: bytes
    table: bytes


class Enrolled(Message):
    """Site: yes. agreement: X25519 public key of this run; nonce: 32 bytes for the common reference."""

    kind = "enrolled"
    limit = _SMALL
    agreement: bytes
    nonce: bytes


class KeyCommit(Message):
    """Coordinator: all ``Enrolled`` frames. Commit to your piece of the key."""

    kind = "key-commit"
    limit = _SMALL + MOST_SITES * SMALL_FRAME
    enrolled: _Frames


class KeyCommitted(Message):
    """Key-holder: SHA-256 of its piece."""

    kind = "key-committed"
    limit = _SMALL
    commitment: bytes


class KeyDeal(Message):
    """Coordinator: all ``KeyCommitted`` frames. Show your piece and deal its shares."""

    kind = "key-deal"
    limit = _SMALL + MOST_HOLDERS * SMALL_FRAME
    committed: _Frames


class KeyDealt(Message):
    """Key-holder: b_i, and for every site a box that only it can open: a piece of the sites' group key,
    and a share if the site is a key-holder."""

    kind = "key-dealt"
    limit = _PIECE + MOST_SITES * _BOX
    piece: bytes
    boxes: _OfSites


class KeyConfirm(Message):
    """Coordinator: the frames so far, all pieces, and the boxes sealed for you."""

    kind = "key-confirm"
    limit = KeyCommit.limit + KeyDeal.limit + MOST_HOLDERS * (_PIECE + _BOX)
    enrolled: _Frames
    committed: _Frames
    pieces: _OfHolders
    boxes: _OfHolders


class KeyConfirmed(Message):
    """Site: a signed frame of kind ``attested`` with the SHA-256 of the joint key as computed here, and an
    encryption of known values under it."""

    kind = "key-confirmed"
    limit = LARGEST
    attested: bytes
    ciphertext: bytes
    tag: bytes


class Contribute(Message):
    """Coordinator: contribute to this step. state: the public model parameters (float32), if any;
    attested: every site's word for the joint key."""

    kind = "contribute"
    limit = LARGEST
    state: bytes
    attested: _Frames


class Contribution(Message):
    """Site: its noised, packed and encrypted contribution. tag: for the other sites' eyes, 44 bytes."""

    kind = "contribution"
    limit = LARGEST
    ciphertext: bytes
    tag: bytes


class Open(Message):
    """Coordinator: open this sum. c1: second half of the summed ciphertexts; seals and tags: of the
    summands, in the same order; openers: the key-holders that open together (1-based). May be asked again
    for the same sum with other openers."""

    kind = "open"
    limit = LARGEST
    c1: bytes
    seals: _Frames
    tags: _Frames
    openers: Annotated[list[int], Field(max_length=MOST_HOLDERS)]

    @property
    def digest(self) -> bytes:
        """SHA-256: what an answer is an answer to."""
        return hashlib.sha256(self.to_bytes()).digest()


class Opened(Message):
    """Key-holder: its partial decryption, smudged and masked; asked: ``Open.digest``, as it fits no other
    openers."""

    kind = "opened"
    limit = LARGEST
    asked: bytes
    partial: bytes


class Refused(Message):
    """Site: no. A stable code, a sentence and a hint; never anything that depends on a record's value.
    about: the site whose contribution is at fault, if one is."""

    kind = "refused"
    limit = 4096
    code: str = Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")
    message: str
    hint: str
    about: str = ""
