"""The package from bytes to bytes, with its randomness taken from a given key: the other implementation."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from common.crypto import bfv, packing, proof, ring, secret, threshold
from common.crypto.encrypted import (
    EncryptedUpdate,
    half_from_bytes,
    key_from_bytes,
    key_to_bytes,
    piece_from_bytes,
    share_from_bytes,
)
from common.crypto.identity import AgreementKey, Identity
from common.crypto.masks import PairKeys
from common.crypto.tag import GroupKey
from common.csprng import Csprng
from common.protocol import frames, messages

HALF = ring.byte_length(*threshold.PARTIAL_SHAPE)
MESSAGES = {
    kind.kind: kind
    for kind in (messages.Enrolled, messages.KeyCommitted, messages.Contribution, messages.Opened)
}

Row = list[int]


@contextmanager
def randomness(key: bytes) -> Iterator[None]:
    """What key-holders draw at random comes from the stream of ``key``."""
    with patch.object(secret, "Csprng", lambda: Csprng.agreed(key)):
        yield


def _agreement(private: bytes) -> AgreementKey:
    return AgreementKey(X25519PrivateKey.from_private_bytes(private))


def _identity(private: bytes) -> Identity:
    return Identity(Ed25519PrivateKey.from_private_bytes(private))


def _half(raw: bytes) -> ring.Residues:
    return half_from_bytes(raw, len(raw) // HALF)


def key_piece(secret_ntt: bytes, minus_error: bytes) -> secret.KeyPiece:
    """A piece whose secret is given."""
    piece = secret.KeyPiece.__new__(secret.KeyPiece)
    piece._secret, piece._minus_error = piece_from_bytes(secret_ntt), piece_from_bytes(minus_error)
    return piece


class Real:
    """The functions of ``tests.naive.wire.Naive`` by ``common.crypto`` and ``common.protocol``."""

    @staticmethod
    def below(key: bytes, bound: int, count: int) -> Row:
        return Csprng.agreed(key).below(bound, count).tolist()

    @staticmethod
    def lagrange(index: int, openers: Sequence[int]) -> Row:
        return [ring.lagrange_at_zero(index, tuple(openers), q) for q in ring.DATA_PRIMES]

    @staticmethod
    def pair_key(private: bytes, peer: bytes, context: bytes) -> bytes:
        return _agreement(private).pair_key(peer, context)

    @staticmethod
    def unseal(private: bytes, peer: bytes, context: bytes, box: bytes) -> bytes:
        return _agreement(private).open(peer, context, box)

    @staticmethod
    def agreement(private: bytes) -> bytes:
        return _agreement(private).public

    @staticmethod
    def group_key(pieces: Sequence[bytes], plan: str) -> bytes:
        return GroupKey.of(list(pieces), plan)._secret

    @staticmethod
    def identity(private: bytes) -> str:
        return _identity(private).public

    @staticmethod
    def sign(private: bytes, kind: str, plan: str, step: str, sender: str, body: bytes) -> bytes:
        return frames.sign(_identity(private), kind, plan, step, sender, body).to_bytes()

    @staticmethod
    def seal(raw: bytes) -> bytes:
        return frames.read(raw, len(raw)).seal

    @staticmethod
    def read(raw: bytes, limit: int) -> None:
        frames.read(raw, limit)

    @staticmethod
    def check(raw: bytes, limit: int, identity: str, plan: str, sender: str, with_body: bool) -> None:
        frames.check(frames.read(raw, limit), identity, plan=plan, sender=sender, with_body=with_body)

    @staticmethod
    def message(kind: str, fields: dict[str, bytes]) -> bytes:
        return MESSAGES[kind](**fields).to_bytes()

    @staticmethod
    def parse(kind: str, raw: bytes) -> dict[str, bytes]:
        return MESSAGES[kind].from_bytes(raw).model_dump()

    @staticmethod
    def proof_values(plan: str, site: str, sites: int) -> Row:
        return proof.proof_values(plan, site, proof.proof_packing(sites)).tolist()

    @staticmethod
    def to_ntt(coefficients: Row) -> bytes:
        return ring.to_bytes(bfv.small_to_ntt(np.array([coefficients], np.int64)))

    @staticmethod
    def pack(layout: tuple[int, int, int], values: Row) -> list[Row]:
        bits, sites, count = layout
        shape = packing.Packing(field_bits=bits, sites=sites, count=count)
        return shape.pack(np.array(values, np.int64)).tolist()

    @staticmethod
    def unpack(layout: tuple[int, int, int], slots: list[Row], contributors: int) -> Row:
        bits, sites, count = layout
        shape = packing.Packing(field_bits=bits, sites=sites, count=count)
        return shape.unpack_sum(np.array(slots, np.int64), contributors).tolist()

    @staticmethod
    def reference(seed: bytes) -> bytes:
        return ring.to_bytes(threshold.common_reference(seed))

    @staticmethod
    def public_piece(secret_ntt: bytes, minus_error: bytes, a: bytes) -> bytes:
        return ring.to_bytes(key_piece(secret_ntt, minus_error).public(piece_from_bytes(a)))

    @staticmethod
    def commitment(piece: bytes) -> bytes:
        return threshold.commitment(piece_from_bytes(piece))

    @staticmethod
    def joint_key(pieces: Sequence[bytes], a: bytes) -> bytes:
        key = threshold.joint_key([piece_from_bytes(raw) for raw in pieces], piece_from_bytes(a))
        assert key_to_bytes(key_from_bytes(key_to_bytes(key))) == key_to_bytes(key)
        return key_to_bytes(key)

    @staticmethod
    def deal(secret_ntt: bytes, least: int, holders: int, key: bytes) -> list[bytes]:
        with randomness(key):
            return [ring.to_bytes(share) for share in key_piece(secret_ntt, secret_ntt).deal(least, holders)]

    @staticmethod
    def key_share(received: Sequence[bytes]) -> bytes:
        return ring.to_bytes(secret.KeyShare(1, [share_from_bytes(raw) for raw in received])._share)

    @staticmethod
    def encrypt(key: bytes, slots: list[Row]) -> bytes:
        """By SEAL, with its own randomness: never twice the same."""
        return EncryptedUpdate(bfv.encrypt(key_from_bytes(key), np.array(slots, np.int64))).to_bytes()

    @staticmethod
    def add(ciphertexts: Sequence[bytes]) -> bytes:
        parsed = (EncryptedUpdate.from_bytes(raw, len(raw) // (2 * HALF)).ciphertext for raw in ciphertexts)
        return EncryptedUpdate(bfv.add(parsed)).to_bytes()

    @staticmethod
    def mask(
        index: int, pairs: Mapping[int, bytes], openers: Sequence[int], plan: str, step: str, c1: bytes
    ) -> bytes:
        return ring.to_bytes(PairKeys(index, dict(pairs)).mask(tuple(openers), plan, step, _half(c1)))

    @staticmethod
    def partial(
        share: bytes,
        index: int,
        c1: bytes,
        openers: Sequence[int],
        least: int,
        smudging: int,
        key: bytes,
        mask: bytes,
    ) -> bytes:
        holder = secret.KeyShare(index, [share_from_bytes(share)])
        with randomness(key):
            d = holder.partial_decryption(_half(c1), tuple(openers), least, smudging, _half(mask))
        return ring.to_bytes(d)

    @staticmethod
    def combine(total: bytes, partials: Mapping[int, bytes], least: int, chunks: int) -> list[Row]:
        parsed = EncryptedUpdate.from_bytes(total, chunks).ciphertext
        halves = {index: _half(raw) for index, raw in partials.items()}
        return threshold.combine(parsed, halves, least).tolist()

    @staticmethod
    def inner_product(group: bytes, c1: bytes, plan: str, step: str) -> Row:
        return GroupKey(group)._inner_product(_half(c1), plan, step)

    @staticmethod
    def check_tags(group: bytes, c1: bytes, sealed: Mapping[str, bytes], plan: str, step: str) -> None:
        GroupKey(group).check(_half(c1), dict(sealed), plan, step)

    @staticmethod
    def decode(what: str, raw: bytes, chunks: int) -> None:
        """Refuse what is not ``chunks`` of these: ciphertext, half, piece, share."""
        if what == "ciphertext":
            EncryptedUpdate.from_bytes(raw, chunks)
        elif what == "half":
            half_from_bytes(raw, chunks)
        else:
            {"piece": piece_from_bytes, "share": share_from_bytes}[what](raw)
