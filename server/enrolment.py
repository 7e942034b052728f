"""Enrolment and key generation, seen from the server: a relay that sees no secret."""

from __future__ import annotations

from functools import reduce

import numpy as np

from common.crypto.proof import proof_packing, proof_values
from common.errors import CryptoError, MalformedMessageError
from common.plan import ENROL_STEP, KEYS_STEP, PROOF_STEP, Plan
from common.protocol.frames import read
from common.protocol.messages import (
    SMALL_FRAME,
    Enrol,
    Enrolled,
    KeyCommit,
    KeyCommitted,
    KeyConfirm,
    KeyConfirmed,
    KeyDeal,
    KeyDealt,
    Message,
)
from common.schema import Schema

from .aggregation import SecureSum
from .asking import Asking, Replies

_TOGETHER = 32  # sites that are sent all pieces, megabytes for each, at once


def enrol(asking: Asking, schema: Schema) -> list[bytes]:
    """Ask every site to take part; their signed answers. Raises RefusedError or NotEnoughSitesError."""
    request = Enrol(plan=asking.plan.to_json(), table=schema.model_dump_json().encode())
    return _frames(asking, ENROL_STEP, request, Enrolled.kind, asking.plan.federation.names)


def make_keys(asking: Asking, secure_sum: SecureSum, enrolled: list[bytes]) -> list[bytes]:
    """Generate the joint key among the sites, then sum and open known values under it.

    Returns every site's attestation of the key, in roster order.

    Raises CryptoError if sites disagree on the key or the known sum does not come out.
    """
    plan = asking.plan
    holders = plan.federation.holders
    committed = _frames(asking, KEYS_STEP, KeyCommit(enrolled=enrolled), KeyCommitted.kind, holders)
    replies = asking(KEYS_STEP, dict.fromkeys(holders, KeyDeal(committed=committed)), KeyDealt.kind)
    dealt = {site: KeyDealt.from_bytes(frame.body) for site, frame in replies.require(holders).items()}
    for dealer, deal in dealt.items():
        if set(deal.boxes) != set(plan.federation.names):
            raise MalformedMessageError(f"{dealer} did not deal to every site")
    pieces = {site: deal.piece for site, deal in dealt.items()}
    confirmed = Replies({}, {})
    names = plan.federation.names
    for start in range(0, len(names), _TOGETHER):
        requests: dict[str, Message] = {
            site: KeyConfirm(
                enrolled=enrolled,
                committed=committed,
                pieces=pieces,
                boxes={dealer: deal.boxes[site] for dealer, deal in dealt.items()},
            )
            for site in names[start : start + _TOGETHER]
        }
        replies = asking(PROOF_STEP, requests, KeyConfirmed.kind)
        confirmed.good.update(replies.good)
        confirmed.bad.update(replies.bad)
    confirmed.require(plan.federation.names)
    return _prove(plan, secure_sum, confirmed)


def _prove(plan: Plan, secure_sum: SecureSum, confirmed: Replies) -> list[bytes]:
    attested = [KeyConfirmed.from_bytes(frame.body).attested for frame in confirmed.good.values()]
    if len({read(raw, SMALL_FRAME).body for raw in attested}) != 1:
        raise CryptoError("the sites computed different joint keys", hint="start a new run")
    packing = proof_packing(len(plan.federation.sites))
    secure_sum.add(PROOF_STEP, confirmed, KeyConfirmed, packing)
    opened, summands = secure_sum.open(packing)
    expected = reduce(np.add, [proof_values(plan.hash, site, packing) for site in summands])
    if not np.array_equal(opened, expected):
        raise CryptoError("the new key does not open a known sum", hint="start a new run")
    return attested


def _frames(asking: Asking, step: str, request: Message, reply_kind: str, sites: list[str]) -> list[bytes]:
    replies = asking(step, dict.fromkeys(sites, request), reply_kind).require(sites)
    return [replies[site].to_bytes() for site in sites]
