"""A federation whose dashboard starts real runs: real coordinator and vaults, in threads, without Flower."""

from __future__ import annotations

import threading

from client.membership import Joined
from client.proposals import Proposals
from common.errors import FedcganError, SuperLinkError
from server import conduct
from server.dashboard.application import dashboard
from server.dashboard.places import Shown
from server.nodes import Nodes
from tests import toy
from tests.server.conducted import Sites
from tests.server.invitations import joined

NAMES = ("north", "south", "east")
NOW = "2026-11-30T08:00:00+00:00"


class Threads:
    """Stands where SuperLink would be: ``start_run`` conducts in a thread, ``stop_run`` ends that.

    held: steps at which sites wait until the test lets them go; fails: what starting a run says
    """

    def __init__(self, sites: Sites) -> None:
        self.sites, self.there, self.fails = sites, {}, None
        self.started, self.ended, self.questions = [], [], 0
        self._stopped = False
        self._held, self._go = "", threading.Event()

    def hold(self, step: str) -> None:
        """From this step on, wait."""
        self._held = step
        self._go.clear()

    def let_go(self) -> None:
        self._go.set()

    def start_run(self, folder):
        if self.fails:
            raise SuperLinkError(self.fails, hint="is it running? fedcgan federation start")
        self._stopped = False
        self.sites.before = self._before
        thread = threading.Thread(target=self._conduct, args=(folder,), daemon=True)
        self.started.append(thread)
        thread.start()
        return len(self.started)

    def stop_run(self, number):
        assert number == len(self.started)
        self._stopped = True
        self._go.set()

    def online(self):
        self.questions += 1
        if self.fails:
            raise SuperLinkError(self.fails)
        return self.there

    def join(self):
        self._go.set()
        for thread in self.started:
            thread.join(60)
            assert not thread.is_alive()

    def _conduct(self, folder):
        try:
            conduct.conduct(folder, self.sites.make)
        except FedcganError as error:
            self.ended.append(error)

    def _before(self, site, header):
        self.sites.seen(site, "busy")
        if self._held and header.step.startswith(self._held):
            self._go.wait(60)
        if self._stopped:
            raise KeyboardInterrupt
        return True


def joins(made, folder, kit_file) -> Joined:
    """A site answers a kit with its own program; its records are those of its hospital."""
    name = kit_file.name.split(".")[0]
    frame = toy.records()
    here = kit_file.parent / name
    here.mkdir(exist_ok=True)
    frame[frame.hospital == name].drop(columns="hospital").to_csv(here / "records.csv", index=False)
    moved = here / kit_file.name
    moved.write_bytes(kit_file.read_bytes())
    return joined(moved, folder / "sites", epsilon_cap=10.0)


def connected(made, engine, names) -> None:
    """As if their SuperNodes were there."""
    nodes = Nodes(made.folder / "flower" / "nodes.json")
    for number, name in enumerate(names, 1):
        nodes.keep(made.member(name).node_key, number)
        engine.there[number] = NOW


def approve(folder, names, plan_hash) -> None:
    """Each steward says yes."""
    for name in names:
        Proposals(folder / "sites" / name).approve(plan_hash)


def pages(made, engine, port, read_only=False):
    return dashboard(Shown(made, None), engine, read_only=read_only, port=port)
