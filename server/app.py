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
_ROLL_CALL_SECONDS = 300.0  # a site's process may have to start
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
        self._sites = federation.names
        self._nodes: dict[str, int] = {}
        self._wait_for(federation.min_contributors)

    def send(self, frames: Mapping[str, bytes]) -> dict[str, bytes]:
        """One frame to each named site; answers by site. A site that fails or is late is absent."""
        self._call_roll()
        nodes = {self._nodes[site]: raw for site, raw in frames.items() if site in self._nodes}
        names = {node: site for site, node in self._nodes.items()}
        return {names[node]: raw for node, raw in self._exchange(nodes, _ANSWER_SECONDS).items()}

    def _wait_for(self, least: int) -> None:
        """Wait until all sites are online, or at least as many as a sum needs."""
        deadline = time.monotonic() + _ONLINE_SECONDS
        while len(list(self._grid.get_node_ids())) < len(self._sites) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self._call_roll()
        if len(self._nodes) < least:
            missing = ", ".join(sorted(set(self._sites) - set(self._nodes)))
            raise NotEnoughSitesError(
                f"{len(self._nodes)} of {len(self._sites)} sites are online, {least} are needed; "
                f"missing: {missing}",
                hint="start them, or look at their logs; then run again",
            )

    def _call_roll(self) -> None:
        """Which node carries for which site, now. Who a site really is, its signatures prove later."""
        online = set(self._grid.get_node_ids())
        self._nodes = {site: node for site, node in self._nodes.items() if node in online}
        strangers = online - set(self._nodes.values())
        if strangers and len(self._nodes) < len(self._sites):
            answers = self._exchange(dict.fromkeys(sorted(strangers), b""), _ROLL_CALL_SECONDS)
            for node, raw in answers.items():
                if (name := raw.decode("utf-8", "replace")) in self._sites:
                    self._nodes.setdefault(name, node)

    def _exchange(self, frames: Mapping[int, bytes], patience: float) -> dict[int, bytes]:
        records: dict[int, object] = {}  # equal frames share one record, which Flower sends once
        messages = [
            Message(records.setdefault(id(raw), to_record(raw)), node, MESSAGE_TYPE)  # type: ignore[call-overload]
            for node, raw in frames.items()
        ]
        waiting = dict(zip(self._grid.push_messages(messages), frames, strict=True))
        waiting.pop("", None)  # refused by Flower: the node is gone
        deadline = time.monotonic() + patience
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
