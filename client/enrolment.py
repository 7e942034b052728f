"""A site's part in enrolment and key generation: five messages, once a run."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from common.crypto import ring
from common.crypto.bfv import PublicKey
from common.crypto.encrypted import (
    key_from_bytes,
    key_to_bytes,
    piece_from_bytes,
    share_from_bytes,
)
from common.crypto.identity import AgreementKey, Identity
from common.crypto.masks import PairKeys
from common.crypto.proof import proof_packing, proof_values
from common.crypto.secret import KeyPiece, KeyShare
from common.crypto.secret_file import read_secret, write_secret
from common.crypto.stopwatch import timed
from common.crypto.tag import PIECE_BYTES, GroupKey
from common.crypto.threshold import PARTIAL_SHAPE, commitment, common_reference, joint_key
from common.errors import CryptoError, MalformedMessageError, NotEnoughSitesError, SignatureError
from common.plan import PROOF_STEP, Plan
from common.protocol import frames
from common.protocol.messages import (
    ATTESTED,
    SMALL_FRAME,
    Enrolled,
    KeyCommit,
    KeyCommitted,
    KeyConfirm,
    KeyConfirmed,
    KeyDeal,
    KeyDealt,
)

from .protection import encrypt_known


def _transcript(enrolled: list[bytes], committed: list[bytes]) -> bytes:
    """A hash of all that was said before pieces are shown."""
    digest = hashlib.sha256()
    for raw in (*enrolled, *committed):
        digest.update(hashlib.sha256(raw).digest())
    return digest.digest()


@dataclass(frozen=True, slots=True)
class Keys:
    """A site's keys of one run, in its run folder."""

    folder: Path
    plan: Plan
    site: str
    identity: Identity

    @property
    def _is_holder(self) -> bool:
        return self.site in self.plan.federation.holders

    def enrol(self) -> Enrolled:
        """A fresh agreement key and nonce."""
        key = AgreementKey()
        key.save(self.folder / "agreement.key")
        return Enrolled(agreement=key.public, nonce=os.urandom(32))

    def commit(self, request: KeyCommit) -> KeyCommitted:
        """Sample our piece of the key and commit to its public half."""
        with timed("ceremony"):
            piece = KeyPiece()
            piece.save(self.folder / "piece.key")
            a = self._reference(self._enrolled(request.enrolled))
            return KeyCommitted(commitment=commitment(piece.public(a)))

    def deal(self, request: KeyDeal, enrolled: list[bytes]) -> KeyDealt:
        """Show the piece we committed to, and deal its shares in sealed boxes."""
        with timed("ceremony"):
            parties = self._enrolled(enrolled)
            piece = KeyPiece.load(self.folder / "piece.key")
            public = piece.public(self._reference(parties))
            if self._committed(request.committed)[self.site] != commitment(public):
                raise SignatureError("our own commitment was exchanged on its way")
            write_secret(self.folder / "transcript", _transcript(enrolled, request.committed))
            agreement = AgreementKey.load(self.folder / "agreement.key")
            holders = self.plan.federation.holders
            shares = piece.deal(self.plan.federation.threshold, len(holders))
            share_of = dict(zip(holders, map(ring.to_bytes, shares), strict=True))
            group_piece = os.urandom(PIECE_BYTES)
            boxes = {
                site: agreement.seal(
                    parties[site].agreement,
                    self._context(self.site, site),
                    group_piece + share_of.get(site, b""),
                )
                for site in self.plan.federation.names
            }
            return KeyDealt(piece=ring.to_bytes(public), boxes=boxes)

    def confirm(self, request: KeyConfirm) -> KeyConfirmed:
        """Compute the joint key, keep our share of its secret, and encrypt known values under it."""
        with timed("ceremony"):
            parties = self._enrolled(request.enrolled)
            commitments = self._committed(request.committed)
            holders = self.plan.federation.holders
            if self._is_holder and _transcript(request.enrolled, request.committed) != read_secret(
                self.folder / "transcript"
            ):
                raise SignatureError("the commitments are not those we showed our own piece after")
            if set(request.pieces) != set(holders):
                raise NotEnoughSitesError("the joint key needs a piece of every key-holder")
            pieces = [piece_from_bytes(request.pieces[holder]) for holder in holders]
            for holder, piece in zip(holders, pieces, strict=True):
                if commitment(piece) != commitments[holder]:
                    raise CryptoError(f"the piece of {holder} is not the one it committed to")
            key = joint_key(pieces, self._reference(parties))
            write_secret(self.folder / "joint.key", key_to_bytes(key))
            group = self._receive(request.boxes, parties)
            digest = hashlib.sha256(key_to_bytes(key)).digest()
        packing = proof_packing(len(self.plan.federation.sites))
        known = proof_values(self.plan.hash, self.site, packing)
        encrypted = encrypt_known(known, packing, key)
        tag = group.seal(encrypted.ciphertext[:, 1], self.plan.hash, PROOF_STEP, self.site)
        attested = frames.sign(self.identity, ATTESTED, self.plan.hash, PROOF_STEP, self.site, digest)
        return KeyConfirmed(attested=attested.to_bytes(), ciphertext=encrypted.to_bytes(), tag=tag)

    def _receive(self, boxes: dict[str, bytes], parties: dict[str, Enrolled]) -> GroupKey:
        """Open every key-holder's box: the group key, and our share if we hold one."""
        agreement = AgreementKey.load(self.folder / "agreement.key")
        holders = self.plan.federation.holders
        if set(boxes) != set(holders):
            raise NotEnoughSitesError("a share of every key-holder is needed")
        contents = [
            agreement.open(parties[dealer].agreement, self._context(dealer, self.site), boxes[dealer])
            for dealer in holders
        ]
        size = PIECE_BYTES + (ring.byte_length(*PARTIAL_SHAPE) if self._is_holder else 0)
        if any(len(content) != size for content in contents):
            raise MalformedMessageError("a box with more or less in it than is due to us")
        group = GroupKey.of([content[:PIECE_BYTES] for content in contents], self.plan.hash)
        group.save(self.folder / "group.key")
        if self._is_holder:
            received = [share_from_bytes(content[PIECE_BYTES:]) for content in contents]
            KeyShare(self.index, received).save(self.folder / "share.key")
            pairs = {
                index: agreement.pair_key(parties[other].agreement, self._pair(other))
                for index, other in enumerate(holders, start=1)
                if other != self.site
            }
            PairKeys(self.index, pairs).save(self.folder / "pairs.key")
        return group

    def forget(self) -> None:
        """Delete what only the ceremony needed; nothing may be dealt twice."""
        for spent in ("piece.key", "agreement.key"):
            (self.folder / spent).unlink(missing_ok=True)

    @property
    def index(self) -> int:
        """Our evaluation point in Shamir's scheme, from 1."""
        return self.plan.federation.holders.index(self.site) + 1

    def joint(self, attested: list[bytes]) -> PublicKey:
        """The joint key of this run, once every site of the roster has attested the same one.

        Key-holders attest only a key made of pieces that were all committed to before any was shown; so
        nobody, not even the coordinator with a key-holder, can choose the key.
        """
        raw = read_secret(self.folder / "joint.key")
        digest = hashlib.sha256(raw).digest()
        for site, theirs in self._verified(attested, ATTESTED, self.plan.federation.names).items():
            if theirs != digest:
                raise SignatureError(f"{site} attested another joint key")
        return key_from_bytes(raw)

    def group(self) -> GroupKey:
        """The sites' common key of this run."""
        return GroupKey.load(self.folder / "group.key")

    def partial(self, c1: ring.Residues, openers: tuple[int, ...], step: str) -> ring.Residues:
        """Our partial decryption of a sum that was checked, for these openers."""
        federation = self.plan.federation
        mask = PairKeys.load(self.folder / "pairs.key").mask(openers, self.plan.hash, step, c1)
        return KeyShare.load(self.folder / "share.key").partial_decryption(
            c1, openers, federation.threshold, federation.noise.smudging, mask
        )

    def _pair(self, other: str) -> bytes:
        first, second = sorted((self.site, other))
        return f"{self.plan.hash}/{first}/{second}".encode()

    def _context(self, dealer: str, receiver: str) -> bytes:
        return f"{self.plan.hash}/{dealer}/{receiver}".encode()

    def _reference(self, parties: dict[str, Enrolled]) -> ring.Residues:
        seed = hashlib.sha256(self.plan.hash.encode())
        for name in self.plan.federation.names:
            seed.update(parties[name].nonce)
        return common_reference(seed.digest())

    def _enrolled(self, raw: list[bytes]) -> dict[str, Enrolled]:
        """Signed answers of all sites, checked against the plan's roster."""
        bodies = self._verified(raw, Enrolled.kind, self.plan.federation.names)
        return {name: Enrolled.from_bytes(body) for name, body in bodies.items()}

    def _committed(self, raw: list[bytes]) -> dict[str, bytes]:
        bodies = self._verified(raw, KeyCommitted.kind, self.plan.federation.holders)
        return {name: KeyCommitted.from_bytes(body).commitment for name, body in bodies.items()}

    def _verified(self, raw: list[bytes], kind: str, expected: list[str]) -> dict[str, bytes]:
        bodies, plan = {}, self.plan.hash  # of the whole roster: not once for each site of it
        identities = {site.name: site.identity for site in self.plan.federation.sites}
        for one in raw:
            frame = frames.read(one, SMALL_FRAME)
            sender = frame.header.sender
            identity = identities.get(sender)
            if identity is None or frame.header.kind != kind:
                raise SignatureError("a relayed message is not from the roster")
            frames.check(frame, identity, plan=plan, sender=sender)
            bodies[sender] = frame.body
        if set(bodies) != set(expected):
            raise NotEnoughSitesError(
                f"key generation needs all of {len(expected)} sites, {len(bodies)} answered",
                hint="bring the missing sites online, or make a plan without them",
            )
        return bodies
