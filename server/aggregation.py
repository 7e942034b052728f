"""The secure sum, seen from the server: ask, add ciphertexts, ask to open, combine.

Exactly two messages to a site: ``Contribute`` and ``Open``. The server adds what it cannot read and
combines what only ``threshold`` key-holders together can produce.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from common.crypto import bfv, ring, threshold
from common.crypto.encrypted import EncryptedUpdate, half_from_bytes
from common.crypto.identity import Identity
from common.crypto.packing import Integers, Packing
from common.crypto.stopwatch import timed
from common.errors import (
    MalformedMessageError,
    NotEnoughSitesError,
    RefusedError,
)
from common.plan import Plan
from common.protocol import frames
from common.protocol.messages import (
    Contribute,
    Contribution,
    KeyConfirmed,
    Message,
    Open,
    Opened,
    Refused,
)

Send = Callable[[Mapping[str, bytes]], dict[str, bytes]]
"""Deliver one message to each named site; the answers of those that answered in time."""

_REPLY_LIMIT = 1 << 30


@dataclass(frozen=True, slots=True)
class Asking:
    """Signed questions to sites and verified answers."""

    plan: Plan
    identity: Identity
    send: Send
    traffic: dict[str, dict[str, int]] = field(default_factory=dict)

    def __call__(
        self, step: str, messages: Mapping[str, Message], reply_kind: str
    ) -> dict[str, frames.Frame]:
        """The verified answers, by site. Raises RefusedError for the first refusal.

        Sites that did not answer are absent.
        """
        name = self.plan.federation.coordinator.name
        sealed = {
            site: frames.sign(
                self.identity, message.kind, self.plan.hash, step, name, message.to_bytes()
            ).to_bytes()
            for site, message in messages.items()
        }
        replies = self.send(sealed)
        return {
            site: self._verified(site, sealed[site], replies[site], step, reply_kind)
            for site in messages  # in the order asked, so that a repeated run asks the same again
            if site in replies
        }

    def _verified(self, site: str, sent: bytes, raw: bytes, step: str, reply_kind: str) -> frames.Frame:
        count = self.traffic.setdefault(site, {"up": 0, "down": 0})
        count["up"] += len(raw)
        count["down"] += len(sent)
        identity = self.plan.federation.identity_of(site)
        assert identity is not None  # only sites of the roster were asked
        frame = frames.read(raw, _REPLY_LIMIT)
        frames.check(frame, identity, plan=frame.header.plan, sender=site)
        if frame.header.kind == Refused.kind:
            refused = Refused.from_bytes(frame.body)
            raise RefusedError(site, refused.code, refused.message, refused.hint)
        if (frame.header.kind, frame.header.step) != (reply_kind, step):
            raise MalformedMessageError(f"{site} answered another question")
        frames.check(frame, identity, plan=self.plan.hash, sender=site)
        return frame


Opening = dict[str, list[str]]
"""Which sites a sum consists of ("summands") and which open it ("openers")."""


class SecureSum:
    """Sums that nobody can open alone.

    Guarantees: holds no secret of the key (an import contract keeps it so); what comes out is the
    exact integer sum of the contributions, or a typed error. What is to be opened is decided once for
    each step and handed to ``keep`` before anybody is asked, so that a restarted coordinator asks for the
    same sum again: sites open a step only once.

    attested: every site's word for the joint key, which each site wants to see before it contributes
    """

    def __init__(self, asking: Asking, openings: dict[str, Opening], keep: Callable[[], None]) -> None:
        self.attested: list[bytes] = []
        self._asking = asking
        self._plan = asking.plan
        self._openings = openings
        self._keep = keep
        self.contribution_bytes = 0

    def __call__(self, step: str, state: bytes, packing: Packing) -> tuple[Integers, int]:
        """One secure sum: (int64[count], number of contributors).

        Raises NotEnoughSitesError below ``min_contributors`` or ``threshold``; nothing is opened.
        """
        request = Contribute(state=state, attested=self.attested)
        sites = self._openings.get(step, {}).get("summands", self._plan.federation.names)
        replies = self._asking(step, dict.fromkeys(sites, request), Contribution.kind)
        bodies = {site: Contribution.from_bytes(frame.body) for site, frame in replies.items()}
        self.contribution_bytes += sum(len(frame.to_bytes()) for frame in replies.values())
        return self.open(step, bodies, replies, packing), len(replies)

    def open(
        self,
        step: str,
        bodies: Mapping[str, Contribution | KeyConfirmed],
        replies: Mapping[str, frames.Frame],
        packing: Packing,
    ) -> Integers:
        """Add the ciphertexts of ``bodies`` and have key-holders open the sum: int64[count]."""
        opening = self._decide(step, list(bodies))
        with timed("add"):
            total = bfv.add(
                EncryptedUpdate.from_bytes(bodies[site].ciphertext, packing.chunks).ciphertext
                for site in opening["summands"]
            )
            c1 = ring.to_bytes(total[:, 1])
        holders = self._plan.federation.holders
        request = Open(
            c1=c1,
            seals=[replies[site].seal for site in opening["summands"]],
            tags=[bodies[site].tag for site in opening["summands"]],
            openers=[holders.index(site) + 1 for site in opening["openers"]],
        )
        opened = self._asking(step, dict.fromkeys(opening["openers"], request), Opened.kind)
        with timed("combine"):
            partials = {
                holders.index(site): half_from_bytes(Opened.from_bytes(frame.body).partial, packing.chunks)
                for site, frame in opened.items()
            }
            slots = threshold.combine(total, partials, self._plan.federation.threshold)
            return packing.unpack_sum(slots, len(opening["summands"]))

    def _decide(self, step: str, present: list[str]) -> Opening:
        """What to open: the decision made before, or all that contributed."""
        if (opening := self._openings.get(step)) is not None:
            if missing := sorted(set(opening["summands"]) - set(present)):
                raise NotEnoughSitesError(
                    f"{', '.join(missing)} contributed to {step} before and must do so again",
                    hint="bring them online and resume",
                )
            return opening
        least = self._plan.federation.min_contributors
        if len(present) < least:
            raise NotEnoughSitesError(
                f"{len(present)} sites contributed to {step}, the plan demands {least}",
                hint="bring the missing sites online and resume",
            )
        summands = [site for site in self._plan.federation.names if site in present]
        self._openings[step] = {"summands": summands, "openers": self._openers(step, summands)}
        self._keep()
        return self._openings[step]

    def _openers(self, step: str, summands: list[str]) -> list[str]:
        """``threshold`` key-holders that contributed; which ones, the step decides, so work is shared."""
        federation = self._plan.federation
        able = [site for site in federation.holders if site in summands]
        if len(able) < federation.threshold:
            raise NotEnoughSitesError(
                f"{len(able)} key-holders are online, {federation.threshold} must open together",
                hint="bring more key-holders online and resume",
            )
        start = zlib.crc32(step.encode()) % len(able)
        chosen = (able[start:] + able[:start])[: federation.threshold]
        return [site for site in able if site in chosen]
