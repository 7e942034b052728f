"""The one form of an update that has a codec: ciphertexts."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import CryptoError, MalformedMessageError
from . import ring
from .bfv import PublicKey
from .ring import DATA_LEVEL, KEY_LEVEL, Residues
from .threshold import CIPHERTEXT_SHAPE, PARTIAL_SHAPE, PIECE_SHAPE, check_range

PIECE_LENGTH = ring.byte_length(*PIECE_SHAPE)
"""Bytes of a key-holder's piece of the key."""

SHARE_LENGTH = ring.byte_length(*PARTIAL_SHAPE)
"""Bytes of a Shamir share."""


@dataclass(frozen=True, slots=True)
class EncryptedUpdate:
    """Ciphertexts of one contribution or of a sum of them: uint64[chunks, 2, 2, N], NTT form."""

    ciphertext: Residues

    def to_bytes(self) -> bytes:
        """60 bits a residue: 30 bytes a slot."""
        return ring.to_bytes(self.ciphertext)

    @classmethod
    def from_bytes(cls, raw: bytes, chunks: int) -> EncryptedUpdate:
        """Raises MalformedMessageError unless these are ``chunks`` ciphertexts of our ring."""
        return cls(_parse(raw, DATA_LEVEL, chunks, *CIPHERTEXT_SHAPE))


def half_from_bytes(raw: bytes, chunks: int) -> Residues:
    """``c1`` of a sum, or a partial decryption: uint64[chunks, 2, N]."""
    return _parse(raw, DATA_LEVEL, chunks, *PARTIAL_SHAPE)


def piece_from_bytes(raw: bytes) -> Residues:
    """A key-holder's ``b_i``: uint64[3, N]."""
    return _parse(raw, KEY_LEVEL, *PIECE_SHAPE)


def share_from_bytes(raw: bytes) -> Residues:
    """A Shamir share: uint64[2, N]."""
    return _parse(raw, DATA_LEVEL, *PARTIAL_SHAPE)


def key_to_bytes(key: PublicKey) -> bytes:
    """The joint key, b then a."""
    return ring.to_bytes(key.b) + ring.to_bytes(key.a)


def key_from_bytes(raw: bytes) -> PublicKey:
    """Inverse of ``key_to_bytes``."""
    half = len(raw) // 2
    return PublicKey(piece_from_bytes(raw[:half]), piece_from_bytes(raw[half:]))


def _parse(raw: bytes, level: ring.Modulus, *shape: int) -> Residues:
    try:
        return check_range(ring.from_bytes(raw, *shape), level)
    except (ValueError, CryptoError) as error:
        raise MalformedMessageError(f"these bytes are no ring elements: {error}") from error
