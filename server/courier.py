"""Carries frames between the coordinator and the sites, over Flower's Grid."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from flwr.app import Message
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from common.errors import MalformedMessageError, NotEnoughSitesError
from common.events import SiteState
from common.plan import Federation
from common.protocol.records import MESSAGE_TYPE, from_record, to_record

Seen = Callable[[str, SiteState], None]
"""Told how a site stands, whenever that is known."""


_AGAIN = (1 / 6, 1 / 2)  # of the time for an answer: then who is silent is asked again, as messages get lost
_LOST = (
    ErrorCode.MESSAGE_UNAVAILABLE,
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
    ErrorCode.NODE_UNAVAILABLE,
    ErrorCode.CLIENT_APP_CRASHED,
)
"""Errors of Flower's after which the site has to be asked again: something between it and us died."""

_GRACE = 45.0  # seconds that a node has to come back
_TRIES = 3
_LOOK = 2.0  # seconds between two looks for nodes that come back


class Roll(Protocol):
    """Who is online: node by site.

    lasting: nodes keep their numbers, and what a dead process took with it is asked for again
    """

    lasting: bool

    def call(self, exchange: Exchange) -> dict[str, int]:
        """Now. exchange: to ask nodes with, if it must."""
        ...


Exchange = Callable[[Mapping[int, bytes], float], dict[int, bytes]]


class AskedRoll:
    """In a simulation a node is asked for its site's name. Who it really is, its signatures prove later."""

    lasting = False
    _PATIENCE = 300.0  # seconds: a site's process may have to start

    def __init__(self, grid: Grid, sites: list[str]) -> None:
        self._grid, self._sites = grid, sites
        self._nodes: dict[str, int] = {}

    def call(self, exchange: Exchange) -> dict[str, int]:
        """Nodes known before and still online, and those that newly say whose they are."""
        online = set(self._grid.get_node_ids())
        self._nodes = {site: node for site, node in self._nodes.items() if node in online}
        strangers = online - set(self._nodes.values())
        if strangers and len(self._nodes) < len(self._sites):
            answers = exchange(dict.fromkeys(sorted(strangers), b""), self._PATIENCE)
            for node, raw in answers.items():
                if (name := raw.decode("utf-8", "replace")) in self._sites:
                    self._nodes.setdefault(name, node)
        return dict(self._nodes)


class AdmittedRoll:
    """In a federation the nodes are those whose public keys were admitted, and no others.

    keys: SHA-256 of a node's public key (PEM SubjectPublicKeyInfo), hexadecimal, by site
    """

    lasting = True

    def __init__(self, grid: Grid, keys: Mapping[str, str]) -> None:
        self._grid = grid
        self._sites = {digest: site for site, digest in keys.items()}

    def call(self, exchange: Exchange) -> dict[str, int]:
        """As SuperLink says, which checked that they hold the private keys. Nobody is asked."""
        del exchange
        found = {}
        for node in self._grid.get_nodes():
            site = self._sites.get(hashlib.sha256(node.public_key).hexdigest())
            if site is not None and node.status == "online":
                found[site] = node.node_id
        return found


class Courier:
    """Delivers frames to sites by name and collects the answers that come in time."""

    def __init__(
        self,
        grid: Grid,
        federation: Federation,
        roll: Roll,
        *,
        answer_seconds: float,
        poll_seconds: float,
        seen: Seen | None = None,
    ) -> None:
        self._grid, self._roll, self._seen = grid, roll, seen
        self._sites = federation.names
        self._answer_seconds, self._poll_seconds = answer_seconds, poll_seconds
        self._nodes: dict[str, int] = {}

    def send(self, frames: Mapping[str, bytes]) -> dict[str, bytes]:
        """One frame to each named site; answers by site. A site that fails or is late is absent."""
        self._call_roll()
        nodes = {self._nodes[site]: raw for site, raw in frames.items() if site in self._nodes}
        names = {node: site for site, node in self._nodes.items()}
        return {names[node]: raw for node, raw in self._exchange(nodes, self._answer_seconds).items()}

    def wait_for(self, least: int, patience: float) -> None:
        """Wait until all sites are online, or at least as many as a sum needs. Raises NotEnoughSitesError."""
        deadline = time.monotonic() + patience
        while len(list(self._grid.get_node_ids())) < len(self._sites) and time.monotonic() < deadline:
            time.sleep(self._poll_seconds)
        self._call_roll()
        if len(self._nodes) < least:
            missing = ", ".join(sorted(set(self._sites) - set(self._nodes)))
            raise NotEnoughSitesError(
                f"{len(self._nodes)} of {len(self._sites)} sites are online, {least} are needed; "
                f"missing: {missing}",
                hint="start them, or look at their logs; then run again",
            )

    def _call_roll(self) -> None:
        """Which node carries for which site, now."""
        self._nodes = self._roll.call(self._exchange)
        if self._seen is not None:
            for site in self._sites:
                self._seen(site, "ready" if site in self._nodes else "gone")

    def _exchange(self, frames: Mapping[int, bytes], patience: float) -> dict[int, bytes]:
        names = {node: site for site, node in self._nodes.items()}
        asked = _Asked(self._grid, frames, patience + 60.0)  # then SuperLink keeps no late answer
        asked.push(frames)
        self._tell(names, asked.silent, "busy")
        start = time.monotonic()
        again = [start + share * patience for share in _AGAIN] if self._roll.lasting else []
        answers: dict[int, bytes] = {}
        back = _Back(self._grid, _TRIES if self._roll.lasting else 0)
        while asked.silent or back.awaited:
            now = time.monotonic()
            for node, reply in asked.pull():
                if not reply.has_error():
                    answers[node] = _frame(reply)
                    self._tell(names, [node], "ready")
                elif not back.expect(node, reply.error.code, now):
                    self._tell(names, [node], "gone")
            if now >= start + patience:
                break
            returned, gone = back.look(now)
            asked.push(returned)
            self._tell(names, gone, "gone")
            if again and now >= again[0]:
                again.pop(0)
                asked.push(asked.silent)
            if asked.silent or back.awaited:
                time.sleep(self._poll_seconds)
        self._tell(names, asked.silent, "late")
        return answers

    def _tell(self, names: Mapping[int, str], nodes: Iterable[int], state: SiteState) -> None:
        for node in nodes:
            if self._seen is not None and node in names:
                self._seen(names[node], state)


class _Asked:
    """Questions to nodes, each asked once or again; the first answer to one of them counts."""

    def __init__(self, grid: Grid, frames: Mapping[int, bytes], ttl: float) -> None:
        self._grid, self._frames, self._ttl = grid, frames, ttl
        self._waiting: dict[str, int] = {}  # node by message
        self._records: dict[int, object] = {}  # equal frames share one record, which Flower sends once

    @property
    def silent(self) -> list[int]:
        """The nodes of which an answer is awaited."""
        return list(dict.fromkeys(self._waiting.values()))

    def push(self, nodes: Iterable[int]) -> None:
        """Ask these nodes, again if they were asked before: a site says the same again."""
        asked = list(nodes)
        messages = [self._message(node, self._frames[node]) for node in asked]
        if messages:
            self._waiting.update(zip(self._grid.push_messages(messages), asked, strict=True))
            self._waiting.pop("", None)  # refused by Flower: the node is gone

    def _message(self, node: int, raw: bytes) -> Message:
        if (record := self._records.get(id(raw))) is None:
            record = self._records[id(raw)] = to_record(raw)
        return Message(record, node, MESSAGE_TYPE, ttl=self._ttl)  # type: ignore[call-overload,no-any-return]

    def pull(self) -> list[tuple[int, Message]]:
        """Answers that came in, and errors where no other answer of that node is awaited."""
        if not self._waiting:
            return []
        found = []
        for reply in self._grid.pull_messages(list(self._waiting)):
            node = self._waiting.pop(reply.metadata.reply_to_message_id, None)
            if node is None:
                continue
            if not reply.has_error():
                self._waiting = {message: of for message, of in self._waiting.items() if of != node}
            elif node in self._waiting.values():
                continue
            found.append((node, reply))
        return found


class _Back:
    """Nodes that took a question with them as they died, and may come back."""

    def __init__(self, grid: Grid, tries: int) -> None:
        self._grid, self._tries = grid, tries
        self._since: dict[int, float] = {}
        self._lost: dict[int, int] = {}
        self._next_look = 0.0

    @property
    def awaited(self) -> bool:
        """Whether there are any."""
        return bool(self._since)

    def expect(self, node: int, error: int, now: float) -> bool:
        """Whether to wait for this node, of which Flower said that it failed."""
        self._lost[node] = self._lost.get(node, 0) + 1
        if error not in _LOST or self._lost[node] >= self._tries:
            return False
        self._since[node] = now
        return True

    def look(self, now: float) -> tuple[list[int], list[int]]:
        """Those that came back, and those that are waited for no more."""
        if not self._since or now < self._next_look:
            return [], []
        self._next_look = now + _LOOK
        online = set(self._grid.get_node_ids())
        returned = [node for node in self._since if node in online]
        gone = [node for node, since in self._since.items() if node not in online and now - since > _GRACE]
        for node in (*returned, *gone):
            del self._since[node]
        return returned, gone


def _frame(reply: Message) -> bytes:
    """What a site sent; nothing, which is no message, if its record is not one of ours."""
    try:
        return from_record(reply.content)
    except MalformedMessageError:
        return b""
