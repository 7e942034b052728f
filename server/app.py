"""Flower's ServerApp: finds the sites, carries frames to them, and runs the coordinator."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

from common.crypto.identity import Identity
from common.errors import NotEnoughSitesError
from common.plan import Plan
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
    courier = Courier(grid, plan.federation.names)
    Coordinator(plan, schema, identity, courier.send, folder / "coordinator").run()


class Courier:
    """Delivers frames to sites by name and collects the answers that come in time."""

    def __init__(self, grid: Grid, sites: list[str]) -> None:
        self._grid = grid
        self._nodes = self._roll_call(sites)

    def send(self, frames: Mapping[str, bytes]) -> dict[str, bytes]:
        """One frame to each named site; answers by site. A site that fails or is late is absent."""
        nodes = {self._nodes[site]: raw for site, raw in frames.items()}
        names = {node: site for site, node in self._nodes.items()}
        return {names[node]: raw for node, raw in self._exchange(nodes).items()}

    def _roll_call(self, sites: list[str]) -> dict[str, int]:
        """Which node carries for which site. Who a site really is, its signatures prove later."""
        deadline = time.monotonic() + _ONLINE_SECONDS
        while len(nodes := list(self._grid.get_node_ids())) < len(sites):
            if time.monotonic() > deadline:
                raise NotEnoughSitesError(
                    f"{len(nodes)} of {len(sites)} sites are online",
                    hint="start the missing ones, then run again",
                )
            time.sleep(_POLL_SECONDS)
        answers = self._exchange(dict.fromkeys(nodes, b""))
        found = {raw.decode("utf-8", "replace"): node for node, raw in answers.items()}
        if missing := sorted(set(sites) - set(found)):
            raise NotEnoughSitesError(
                f"no answer from {', '.join(missing)}", hint="look at their logs, then run again"
            )
        return {site: found[site] for site in sites}

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
                    answers[node] = from_record(reply.content)
            if last:
                break
            if waiting:
                time.sleep(_POLL_SECONDS)
        return answers
