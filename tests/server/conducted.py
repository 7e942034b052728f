"""A federation whose run is conducted in this process: the real coordinator and vaults, without Flower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from client.proposals import Proposals
from client.vault import Vault
from common.errors import NotApprovedError
from common.plan import Plan
from common.protocol import frames
from common.run_config import load_run
from server.conduct import conduct
from server.federation import FederationFolder
from server.planned import planned
from server.run_folder import Conditions, RunFolder
from tests import toy

from .invitations import federation, joined, kit

RUN = """
name = "toy"
[federation]
threshold = {threshold}
min_contributors = {least}
[privacy]
epsilon = 3.0
delta = 1e-5
[model]
latent = 8
generator_hidden = [16]
[training]
records_per_site = 100
fit_steps = 5
"""


class Sites:
    """Stands where Flower would carry messages; ``before(site, header)`` sees every question and may say that
    the site is away."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names
        self.before = lambda *_: True

    def make(self, _run, _plan, seen):
        """The courier of ``conduct``."""
        self.vaults = {name: Vault(self.folder / name) for name in self.names}
        self.seen = seen
        return self

    def send(self, asked):
        """As ``Send`` promises."""
        answers = {}
        for site, raw in asked.items():
            there = self.before(site, frames.read(raw, len(raw)).header)
            self.seen(site, "ready" if there else "gone")
            if there:
                answers[site] = self.vaults[site].handle(raw)
        return answers

    def approve(self, plan: Plan) -> None:
        """Every steward says yes."""
        for name in self.names:
            Proposals(self.folder / name).approve(plan.hash)


def admitted(folder: Path, names: Sequence[str]) -> tuple[FederationFolder, Sites]:
    """A federation in ``folder`` with these hospitals as members."""
    made, frame = federation(folder / "federation"), toy.records()
    for name in names:
        site = folder / name
        site.mkdir()
        frame[frame.hospital == name].drop(columns="hospital").to_csv(site / "records.csv", index=False)
        made.admit(joined(kit(made, name, site), folder / "sites", epsilon_cap=10.0).reply)
    return made, Sites(folder / "sites", names)


def plan_of(
    made: FederationFolder,
    folder: Path,
    names: Sequence[str] | None = None,
    *,
    threshold: int = 2,
    least: int = 3,
) -> Plan:
    """A plan for these members, or for all."""
    (folder / "run.toml").write_text(RUN.format(threshold=threshold, least=least))
    return planned(made, load_run(folder / "run.toml"), names)


def conditions(made: FederationFolder, names: Sequence[str], **patience: float) -> Conditions:
    """Nobody is waited for unless ``patience`` says so."""
    times = {"answer": 1.0, "approval": 0.0, "away": 0.0, **patience}
    return Conditions.of(made, names, **times)


def run_of(made: FederationFolder, plan: Plan, **patience: float) -> RunFolder:
    """Its run."""
    return RunFolder.make(made, plan, conditions(made, plan.federation.names, **patience))


def approved_run(made: FederationFolder, sites: Sites, plan: Plan, **patience: float) -> RunFolder:
    """A run that was proposed, so that every steward could approve it."""
    run = run_of(made, plan, **patience)
    with pytest.raises(NotApprovedError):
        conduct(run.folder, sites.make)
    sites.approve(plan)
    return run
