"""What a key-holder checks before it gives its partial decryption of a sum."""

from __future__ import annotations

from pathlib import Path

from common.contributions import encoding
from common.crypto.encrypted import half_from_bytes
from common.crypto.packing import Packing
from common.crypto.proof import proof_packing
from common.crypto.ring import to_bytes
from common.crypto.secret_file import read_secret
from common.crypto.stopwatch import timed
from common.errors import (
    AlreadyOpenedError,
    CountedTwiceError,
    ForeignSumError,
    NotApprovedError,
    NotEnoughSitesError,
    OwnMissingError,
    SignatureError,
)
from common.plan import MOST_ATTEMPTS, PROOF_STEP, Plan, attempt, attempted
from common.protocol import frames
from common.protocol.messages import (
    SMALL_FRAME,
    Contribute,
    Contribution,
    KeyConfirm,
    KeyConfirmed,
    Open,
    Opened,
)
from common.schema import Schema

from . import contribution
from .answers import Answers
from .enrolment import Keys


def opened(request: Open, step: str, plan: Plan, keys: Keys, site: str) -> Opened:
    """Our partial decryption of a sum. Every check has a refusal of its own (docs/protocol.md, "Opening")."""
    federation, answers = plan.federation, Answers(keys.folder)
    if site not in federation.holders:
        raise NotApprovedError("this site holds no share of the key")
    openers = tuple(request.openers)
    distinct = {opener for opener in openers if 1 <= opener <= federation.key_holders}
    if not len(distinct) == len(openers) == federation.threshold or keys.index not in distinct:
        raise NotEnoughSitesError(
            f"{federation.threshold} distinct key-holders open a sum together, each for itself"
        )
    _refuse_abandoned(step, answers)
    summands = _check_summands(request.seals, step, plan, answers)
    if len(request.tags) != len(summands):
        raise ForeignSumError("as many tags as contributions are needed")
    tags = dict(zip(summands, request.tags, strict=True))
    packing = _packing(step, plan, keys.folder)
    with timed("open"):
        c1 = half_from_bytes(request.c1, packing.chunks)
        keys.group().check(c1, tags, plan.hash, step)
        answers.open_once(step, b"".join((request.c1, *request.seals)))
        return Opened(asked=request.digest, partial=to_bytes(keys.partial(c1, openers, step)))


def _packing(step: str, plan: Plan, run: Path) -> Packing:
    if step == PROOF_STEP:
        return proof_packing(len(plan.federation.sites))
    schema = Schema.from_json(read_secret(run / "schema.json"))
    return encoding(contribution.task(step, plan).step, schema, plan).packing


def _refuse_abandoned(step: str, answers: Answers) -> None:
    planned, number = attempted(step)
    later = range(number + 1, MOST_ATTEMPTS + 1)
    if any(answers.exists(Contribute.kind, attempt(planned, again)) for again in later):
        raise AlreadyOpenedError(f"step {step!r} was abandoned for another attempt")


def _check_summands(seals: list[bytes], step: str, plan: Plan, answers: Answers) -> list[str]:
    """Enough distinct sites of the roster contributed to this very step, we among them: who."""
    kind = KeyConfirmed.kind if step == PROOF_STEP else Contribution.kind
    own = (KeyConfirm.kind if step == PROOF_STEP else Contribute.kind, step)
    senders: list[str] = []
    plan_hash = plan.hash  # of the whole roster: not once for each site of it
    for raw in seals:
        seal = frames.read(raw, SMALL_FRAME)
        header = seal.header
        identity = plan.federation.identity_of(header.sender)
        if identity is None or (header.kind, header.step) != (kind, step):
            raise SignatureError("a summand is not a contribution of the roster to this step")
        frames.check(seal, identity, plan=plan_hash, sender=header.sender, with_body=False)
        if header.sender in senders:
            raise CountedTwiceError(f"{header.sender} is counted twice in one sum")
        senders.append(header.sender)
    if len(senders) < plan.federation.min_contributors:
        raise NotEnoughSitesError(
            f"{len(senders)} contributions, the plan demands {plan.federation.min_contributors}"
        )
    answered = answers.seal(*own)
    if answered is not None and answered not in seals:
        raise OwnMissingError("our own contribution is not in this sum")
    return senders
