"""Flower's ServerApp: finds the sites, carries frames to them, and runs the coordinator."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

from common.crypto.identity import Identity
from common.errors import MalformedMessageError, NotEnoughSitesError
from common.plan import Federation, Plan
from common.protocol.records import MESSAGE_TYPE, from_record, to_record
from common.schema import Schema

from .rounds import Coordinator

app = ServerApp()

_ONLINE_SECONDS = 120.0
_ANSWER_SECONDS = 1800.0
_POLL_SECONDS = 0.05


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the plan of the run folder to its end, from wherever it stands."""
    folder = Path(str(context.run_config.get("run-dir", "")) or os.environ["FEDCGAN_RUN"])
    plan = Plan.from_json((folder / "plan.json").read_bytes())
    schema = Schema.load(folder / "schema.toml")
    identity = Identity.load_or_create(folder / "coordinator" / "identity.key")
    courier = Courier(grid, plan.federation)
    Coordinator(plan, schema, identity, courier.send, folder / "coordinator").run()


class Courier:
    """Delivers frames to sites by name and collects the answers that come in time."""

    def __init__(self, grid: Grid, federation: Federation) -> None:
        self._grid = grid
        self._nodes = self._roll_call(federation.names, federation.min_contributors)

    def send(self, frames: Mapping[str, bytes]) -> dict[str, bytes]:
        """One frame to each named site; answers by site. A site that fails or is late is absent."""
        nodes = {self._nodes[site]: raw for site, raw in frames.items() if site in self._nodes}
        names = {node: site for site, node in self._nodes.items()}
        return {names[node]: raw for node, raw in self._exchange(nodes).items()}

    def _roll_call(self, sites: list[str], least: int) -> dict[str, int]:
        """Which node carries for which site. Who a site really is, its signatures prove later.

        Whoever is not there is missing from every step of this run; the protocol says how many may be.
        """
        deadline = time.monotonic() + _ONLINE_SECONDS
        while len(nodes := list(self._grid.get_node_ids())) < len(sites):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        answers = self._exchange(dict.fromkeys(nodes, b""))
        found = {raw.decode("utf-8", "replace"): node for node, raw in answers.items()}
        if len(present := set(sites) & set(found)) < least:
            missing = ", ".join(sorted(set(sites) - present))
            raise NotEnoughSitesError(
                f"{len(present)} of {len(sites)} sites are online, {least} are needed; missing: {missing}",
                hint="start them, or look at their logs; then run again",
            )
        return {site: found[site] for site in sites if site in present}

    def _exchange(self, frames: Mapping[int, bytes]) -> dict[int, bytes]:
        records: dict[int, object] = {}  # equal frames share one record, which Flower sends once
        messages = [
            Message(records.setdefault(id(raw), to_record(raw)), node, MESSAGE_TYPE)  # type: ignore[call-overload]
            for node, raw in frames.items()
        ]
        waiting = dict(zip(self._grid.push_messages(messages), frames, strict=True))
        waiting.pop("", None)  # refused by Flower: the node is gone
        deadline = time.monotonic() + _ANSWER_SECONDS
        answers = {}
        while waiting:
            last = time.monotonic() >= deadline
            for reply in self._grid.pull_messages(list(waiting)):
                node = waiting.pop(reply.metadata.reply_to_message_id, None)
                if node is not None and not reply.has_error():
                    answers[node] = _frame(reply)
            if last:
                break
            if waiting:
                time.sleep(_POLL_SECONDS)
        return answers


def _frame(reply: Message) -> bytes:
    """What a site sent; nothing, which is no message, if its record is not one of ours."""
    try:
        return from_record(reply.content)
    except MalformedMessageError:
        return b""
