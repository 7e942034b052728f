"""The real vaults and the real coordinator joined by a plain function, so that a test can interfere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from client.vault import Vault
from common.crypto.identity import Identity
from common.simulation.prepare import Run
from server.aggregation import SecureSum
from server.asking import Asking
from server.rounds import Coordinator

Relay = Callable[[str, bytes], bytes | None]


class LocalFederation:
    """Vaults by name; ``relay(site, frame)`` may alter, drop (None) or observe what passes."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.plan = run.plan
        self.vaults = {name: Vault(self.site_folder(name)) for name in run.plan.federation.names}
        self.attested: list[bytes] = []
        self.before: Relay = lambda _, raw: raw
        self.after: Relay = lambda _, raw: raw
        self.identity = Identity.load_or_create(run.folder / "coordinator" / "identity.key")

    def site_folder(self, name: str) -> Path:
        """A site's own folder."""
        return self.run.folder / "sites" / name

    def run_folder(self, name: str) -> Path:
        """A site's keys and answers of this run."""
        return self.vaults[name].site.run_folder(self.plan.hash)

    def send(self, frames: Mapping[str, bytes]) -> dict[str, bytes]:
        """What ``Send`` promises."""
        answers = {}
        for site, raw in frames.items():
            sent = self.before(site, raw)
            answer = None if sent is None else self.after(site, self.vaults[site].handle(sent))
            if answer is not None:
                answers[site] = answer
        return answers

    def coordinator(self) -> Coordinator:
        """A coordinator that starts from its checkpoint."""
        folder = self.run.folder / "coordinator"
        return Coordinator(self.plan, self.run.schema, self.identity, self.send, folder)

    def asking(self) -> Asking:
        """Signed questions, as the coordinator asks them."""
        return Asking(self.plan, self.identity, self.send)

    def secure_sum(self) -> SecureSum:
        """The server's half of a sum."""
        return SecureSum(self.asking(), lambda _: None)
