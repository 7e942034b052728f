"""Carries frames between the coordinator and the sites, over Flower's Grid."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from flwr.app import Message
from flwr.serverapp import Grid

from common.errors import MalformedMessageError, NotEnoughSitesError
from common.plan import Federation
from common.protocol.records import MESSAGE_TYPE, from_record, to_record

from .run_folder import SiteState

Seen = Callable[[str, SiteState], None]
"""Told how a site stands, whenever that is known."""


class Roll(Protocol):
    """Who is online: node by site."""

    def call(self, exchange: Exchange) -> dict[str, int]:
        """Now. exchange: to ask nodes with, if it must."""
        ...


Exchange = Callable[[Mapping[int, bytes], float], dict[int, bytes]]


class AskedRoll:
    """In a simulation a node is asked for its site's name. Who it really is, its signatures prove later."""

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
        self.call_roll()
        nodes = {self._nodes[site]: raw for site, raw in frames.items() if site in self._nodes}
        names = {node: site for site, node in self._nodes.items()}
        return {names[node]: raw for node, raw in self._exchange(nodes, self._answer_seconds).items()}

    def wait_for(self, least: int, patience: float) -> None:
        """Wait until all sites are online, or at least as many as a sum needs. Raises NotEnoughSitesError."""
        deadline = time.monotonic() + patience
        while len(list(self._grid.get_node_ids())) < len(self._sites) and time.monotonic() < deadline:
            time.sleep(self._poll_seconds)
        self.call_roll()
        if len(self._nodes) < least:
            missing = ", ".join(sorted(set(self._sites) - set(self._nodes)))
            raise NotEnoughSitesError(
                f"{len(self._nodes)} of {len(self._sites)} sites are online, {least} are needed; "
                f"missing: {missing}",
                hint="start them, or look at their logs; then run again",
            )

    def call_roll(self) -> list[str]:
        """Which node carries for which site, now. The sites that are online."""
        self._nodes = self._roll.call(self._exchange)
        if self._seen is not None:
            for site in self._sites:
                self._seen(site, "ready" if site in self._nodes else "gone")
        return [site for site in self._sites if site in self._nodes]

    def _exchange(self, frames: Mapping[int, bytes], patience: float) -> dict[int, bytes]:
        records: dict[int, object] = {}  # equal frames share one record, which Flower sends once
        messages = [
            Message(
                records.setdefault(id(raw), to_record(raw)),  # type: ignore[call-overload]
                node,
                MESSAGE_TYPE,
                ttl=patience + 60.0,  # then SuperLink keeps no late answer
            )
            for node, raw in frames.items()
        ]
        names = {node: site for site, node in self._nodes.items()}
        waiting = dict(zip(self._grid.push_messages(messages), frames, strict=True))
        waiting.pop("", None)  # refused by Flower: the node is gone
        self._tell(names, waiting.values(), "busy")
        deadline = time.monotonic() + patience
        answers = {}
        while waiting:
            last = time.monotonic() >= deadline
            for reply in self._grid.pull_messages(list(waiting)):
                node = waiting.pop(reply.metadata.reply_to_message_id, None)
                if node is None:
                    continue
                self._tell(names, [node], "gone" if reply.has_error() else "ready")
                if not reply.has_error():
                    answers[node] = _frame(reply)
            if last:
                break
            if waiting:
                time.sleep(self._poll_seconds)
        self._tell(names, waiting.values(), "late")
        return answers

    def _tell(self, names: Mapping[int, str], nodes: Iterable[int], state: SiteState) -> None:
        for node in nodes:
            if self._seen is not None and node in names:
                self._seen(names[node], state)


def _frame(reply: Message) -> bytes:
    """What a site sent; nothing, which is no message, if its record is not one of ours."""
    try:
        return from_record(reply.content)
    except MalformedMessageError:
        return b""
