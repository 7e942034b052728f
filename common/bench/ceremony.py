"""A key ceremony with all parties in one process: what each site computes, without messages between them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..crypto import bfv, ring, threshold
from ..crypto.encrypted import share_from_bytes
from ..crypto.identity import AgreementKey
from ..crypto.masks import PairKeys
from ..crypto.parameters import Noise
from ..crypto.secret import KeyPiece, KeyShare

_CONTEXT = b"bench"


@dataclass(frozen=True, slots=True)
class Opener:
    """A key-holder as in a run: its share of the key and its pair keys."""

    share: KeyShare
    pairs: PairKeys
    smudging: int

    def open(self, c1: ring.Residues, openers: tuple[int, ...]) -> ring.Residues:
        """Its masked partial decryption, uint64[chunks, 2, N]."""
        mask = self.pairs.mask(openers, "bench", "bench", c1)
        return self.share.partial_decryption(c1, openers, len(openers), self.smudging, mask)


def ceremony(sites: int, least: int) -> tuple[float, bfv.PublicKey, dict[int, Opener]]:
    """Seconds, the joint key, and the first ``least`` key-holders.

    Pieces, commitments and their checks, shares in sealed boxes for everybody, pair keys: all of the
    ceremony's computing but the signatures of its frames.
    """
    start = time.perf_counter()
    a = threshold.common_reference(b"bench")
    pieces = [KeyPiece() for _ in range(sites)]
    public = [piece.public(a) for piece in pieces]
    promised = [threshold.commitment(piece) for piece in public]
    agreements = [AgreementKey() for _ in range(sites)]
    boxes = [
        [
            dealer.seal(receiver.public, _CONTEXT, ring.to_bytes(share))
            for receiver, share in zip(agreements, piece.deal(least, sites), strict=True)
        ]
        for dealer, piece in zip(agreements, pieces, strict=True)
    ]
    openers = {}
    for j, agreement in enumerate(agreements):
        if [threshold.commitment(piece) for piece in public] != promised:
            raise AssertionError("a piece is not the one that was committed to")
        key = threshold.joint_key(public, a)
        received = [
            share_from_bytes(agreement.open(dealer.public, _CONTEXT, row[j]))
            for dealer, row in zip(agreements, boxes, strict=True)
        ]
        pairs = {
            m + 1: agreement.pair_key(other.public, b"%d/%d" % (min(j, m), max(j, m)))
            for m, other in enumerate(agreements)
            if m != j
        }
        smudging = Noise(sites, sites, least).smudging
        openers[j + 1] = Opener(KeyShare(j + 1, received), PairKeys(j + 1, pairs), smudging)
    seconds = round(time.perf_counter() - start, 4)
    return seconds, key, {j: openers[j] for j in range(1, least + 1)}
