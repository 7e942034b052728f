"""``fedcgan federation start``: SuperLink, SuperExec and edge kept alive, only admitted sites let in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.errors import FedcganError, SuperLinkError
from common.supervision import Supervisor
from common.terminal import say

from .admittance import Admittance
from .beside import Beside
from .federation import FederationFolder
from .members import Member
from .nodes import Nodes
from .run_folder import Conditions, RunFolder
from .superlink import SuperLink

_LOOKED = 5.0  # seconds between two looks at the members
_ASKED = 30.0  # seconds between two questions who is online
_LAST = 5.0  # seconds for a look that goes on at the end, when SuperLink is gone
_AGAIN = 300.0  # seconds before a rehearsal that did not start is tried again
_WARNED = timedelta(days=30)
_WORTH_SAYING = 24  # looks at a SuperLink that fails
_ANSWER, _PATIENCE = 300.0, 600.0  # of a rehearsal


def start(federation: FederationFolder, rehearse: bool) -> None:
    """Until SIGTERM or SIGINT; what dies is started again. Raises ConfigError where a program is missing.

    rehearse: with every site that comes online, while no run goes on
    """
    _check_certificate(federation)
    link = SuperLink(federation)
    link.prepare()
    host = _Host(federation, link, rehearse)
    say(
        f"federation {federation.settings.name} at {federation.settings.address}; "
        f"logs: {federation.folder}/flower; Ctrl-C ends it"
    )
    looking = Beside(host.look)  # it waits for SuperLink, and the programs must not wait for it
    Supervisor(link.programs(), say).run(looking)
    looking.end(_LAST)


def _check_certificate(federation: FederationFolder) -> None:
    """Raise FederationError if sites would not accept it; say so a month before that."""
    now = datetime.now(UTC)
    ends = federation.certificates.server(now).not_valid_after_utc
    if ends - now < _WARNED:
        say(f"the server's certificate ends on {ends:%Y-%m-%d}: fedcgan federation certificate makes another")


class _Host:
    """Lets admitted members in, shuts revoked ones out, and rehearses with whoever has come."""

    def __init__(self, federation: FederationFolder, link: SuperLink, rehearse: bool) -> None:
        self._federation, self._link, self._rehearse = federation, link, rehearse
        self._nodes = Nodes(federation.folder / "flower" / "nodes.json")
        self._admittance = Admittance(link, self._nodes, say)
        self._known: list[Member] | None = None
        self._next_look = self._next_question = 0.0
        self._failing = 0  # looks in a row
        self._rehearsed: dict[str, str] = {}  # since when the node was online that we rehearsed with last
        self._not_before: dict[str, float] = {}  # of sites with which no rehearsal could be started

    def look(self) -> None:
        """Do what changed since the last look; what fails is tried again."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOKED
        try:
            members = self._federation.members()
            if members != self._known:
                self._admittance.settle(members)
                self._known = members
            if self._rehearse and now >= self._next_question:
                self._next_question = now + _ASKED
                self._meet(members)
            self._failing = 0
        except SuperLinkError as error:  # it may still be starting
            self._failing += 1
            if self._failing % _WORTH_SAYING == 0:
                say(f"{error.code}: {error.message}")
        except FedcganError as error:
            say(f"{error.code}: {error.message}")

    def _meet(self, members: list[Member]) -> None:
        """Start one rehearsal with a member that came online, unless a run goes on."""
        if any(RunFolder(path.parent).is_conducted() for path in self._folders()):
            return
        online = self._link.online()
        for member in members:
            since = online.get(self._nodes.number(member.node_key or "") or 0)
            due = time.monotonic() >= self._not_before.get(member.name, 0.0)
            if member.state == "admitted" and since and due and self._rehearsed.get(member.name) != since:
                self._not_before[member.name] = time.monotonic() + _AGAIN  # if it fails, others come first
                self._begin(member)
                self._rehearsed[member.name] = since
                return

    def _begin(self, member: Member) -> None:
        folder = self._federation.folder / "flower" / "rehearsals" / member.name
        from .rehearsal import rehearsal_plan  # and networks with it, which nothing else here needs

        plan = rehearsal_plan(self._federation, member, folder)
        conditions = Conditions.of(
            self._federation, [member.name], answer=_ANSWER, approval=_PATIENCE, away=_PATIENCE
        )
        run = RunFolder.made(folder, plan, self._federation.schema, conditions)
        run.number(self._link.start_run(run.folder))
        say(f"{member.name} is online; rehearsing with it, on made-up records")

    def _folders(self) -> list[Path]:
        flower = self._federation.folder / "flower"
        found = [*(self._federation.folder / "runs").glob("*/plan.json")]
        return [*found, *flower.glob("rehearsals/*/plan.json")]
