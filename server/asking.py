"""Signed questions to sites and verified answers; who failed, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from common.crypto.identity import Identity
from common.errors import FedcganError, NotEnoughSitesError, RefusedError, ReplayError
from common.events import Failed, emit
from common.plan import Plan
from common.protocol import frames
from common.protocol.messages import LARGEST, Message, Refused

Send = Callable[[Mapping[str, bytes]], dict[str, bytes]]
"""Deliver one message to each named site; the answers of those that answered in time."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A site that did not do its part in a step: for people to read, and for the report.

    refused: whether ``code`` is the site's own word; else it is what the coordinator found
    """

    step: str
    site: str
    code: str
    refused: bool


@dataclass(frozen=True, slots=True)
class Replies:
    """What came back: verified answers, and why others are none. Sites in neither did not answer."""

    good: dict[str, frames.Frame]
    bad: dict[str, FedcganError]

    def require(self, sites: Iterable[str]) -> dict[str, frames.Frame]:
        """The answers of all ``sites``. Raises the first failure, or NotEnoughSitesError."""
        for error in self.bad.values():
            raise error
        if missing := sorted(set(sites) - set(self.good)):
            raise NotEnoughSitesError(
                f"no answer from {', '.join(missing)}",
                hint="bring them online and start again; nothing was spent",
            )
        return self.good


@dataclass(frozen=True, slots=True)
class Asking:
    """The coordinator's voice.

    traffic: bytes by site; trouble: everything that sites did not do
    """

    plan: Plan
    identity: Identity
    send: Send
    traffic: dict[str, dict[str, int]] = field(default_factory=dict)
    trouble: list[Trouble] = field(default_factory=list)
    _told: set[Trouble] = field(default_factory=set)

    def __call__(self, step: str, messages: Mapping[str, Message], reply_kind: str) -> Replies:
        """Ask each site once. A wrong, altered or refused answer is that site's trouble, not everybody's."""
        # most messages go to many sites: each is signed once, and Flower then sends equal frames once
        different = {id(message): message for message in messages.values()}
        signed = {key: self._signed(step, message) for key, message in different.items()}
        sealed = {site: signed[id(message)] for site, message in messages.items()}
        answers = self.send(sealed)
        replies = Replies({}, {})
        for site in messages:  # in the order asked, so that a repeated run asks the same again
            if site not in answers:
                self.note(step, site, "no-answer")
                continue
            self._count(site, sealed[site], answers[site])
            try:
                replies.good[site] = self._verified(site, answers[site], step, reply_kind)
            except FedcganError as error:
                replies.bad[site] = error
                self.note(step, site, error.told, refused=isinstance(error, RefusedError))
        return replies

    def _signed(self, step: str, message: Message) -> bytes:
        name, body = self.plan.federation.coordinator.name, message.to_bytes()
        return frames.sign(self.identity, message.kind, self.plan.hash, step, name, body).to_bytes()

    def note(self, step: str, site: str, code: str, refused: bool = False) -> None:
        """Write down what a site did not do. refused: as in ``Trouble``"""
        one = Trouble(step, site, code, refused)
        self.trouble.append(one)
        if one not in self._told:  # a site that is away while others approve is asked every few seconds
            self._told.add(one)
            emit(Failed(step=step, site=site, code=code))

    def carried(self, way: Literal["up", "down"]) -> int:
        """Bytes of all sites so far."""
        return sum(count[way] for count in self.traffic.values())

    def _count(self, site: str, sent: bytes, received: bytes) -> None:
        count = self.traffic.setdefault(site, {"up": 0, "down": 0})
        count["up"] += len(received)
        count["down"] += len(sent)

    def _verified(self, site: str, raw: bytes, step: str, reply_kind: str) -> frames.Frame:
        identity = self.plan.federation.identity_of(site)
        assert identity is not None  # only sites of the roster were asked
        frame = frames.read(raw, LARGEST)
        frames.check(frame, identity, plan=frame.header.plan, sender=site)
        unread = (frame.header.plan, frame.header.step) == ("", "")  # the site could not read our question
        refused = frame.header.kind == Refused.kind
        if not (refused and unread):
            frames.check_plan(frame.header, self.plan.hash)
            if frame.header.step != step or frame.header.kind not in (reply_kind, Refused.kind):
                raise ReplayError(f"{site} answered another question", hint="its answer was replayed")
        if refused:
            said = Refused.from_bytes(frame.body)
            about = "" if unread else said.about
            raise RefusedError(site, *map(_printable, (said.code, said.message, said.hint, about)))
        return frame


def _printable(text: str) -> str:
    """A site's words as they may stand on a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
