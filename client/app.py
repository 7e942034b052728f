"""The courier: Flower's ClientApp. It carries opaque frames to the vault and back, and nothing else."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from common.plan import Plan
from common.protocol.records import from_record, to_record

from .vault import Vault

app = ClientApp()


@cache
def _vault(folder: Path, founded: int) -> Vault:
    """The vault of a site, warm between messages. founded: when; a folder made anew is another site."""
    del founded
    return Vault(folder)


def site_folder(context: Context) -> Path:
    """The folder of this node's site: ``state-path`` of the node, or by its number in a simulation."""
    if state_path := str(context.node_config.get("state-path", "")):
        return Path(state_path)
    run = Path(str(context.run_config.get("run-dir", "")) or os.environ["FEDCGAN_RUN"])
    plan = Plan.from_json((run / "plan.json").read_bytes())
    return run / "sites" / plan.federation.names[int(context.node_config["partition-id"])]


@app.query()
def carry(message: Message, context: Context) -> Message:
    """Hand a frame to the vault and its answer back. An empty frame asks for the site's name."""
    folder = site_folder(context)
    raw = from_record(message.content)
    if not raw:
        return Message(to_record(folder.name.encode()), reply_to=message)
    founded = (folder / "identity.key").stat().st_mtime_ns
    return Message(to_record(_vault(folder, founded).handle(raw)), reply_to=message)
