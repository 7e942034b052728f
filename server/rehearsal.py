"""A rehearsal: one site, two stand-ins on the coordinator's machine, made-up records, the whole protocol.

When a member's SuperNode has come online and nothing else runs, ``fedcgan federation start`` rehearses with
its site. So both sides know that keys, versions, vault, courier and network work before it matters. No
record is read and no ledger of real records is charged: the plan says that it is a rehearsal.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from common.crypto.identity import Identity
from common.plan import Party, Plan
from common.planning import federation_of, make_plan
from common.run_config import Federation, Privacy, RunConfig, Training

from .asking import Send
from .federation import FederationFolder
from .members import Member

_STAND_INS = ("stand-in-1", "stand-in-2")
_RECORDS, _EPSILON, _DELTA, _STEPS = 1000, 20.0, 1e-5, 5


def rehearsal_plan(federation: FederationFolder, member: Member, folder: Path) -> Plan:
    """A plan for one member and two stand-ins, whose own folders are made in ``folder``, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    identities = [Identity.load_or_create(_stand_in(folder, name) / "identity.key") for name in _STAND_INS]
    stand_ins = [
        Party(name=name, identity=identity.public)
        for name, identity in zip(_STAND_INS, identities, strict=True)
    ]
    wanted = RunConfig(
        name="rehearsal",
        federation=Federation(threshold=2),
        privacy=Privacy(epsilon=_EPSILON, delta=_DELTA),
        training=Training(records_per_site=_RECORDS, fit_steps=_STEPS),
    )
    together = federation_of(wanted, federation.coordinator, [member.party, *stand_ins])
    run = f"rehearsal-{uuid.uuid4().hex[:12]}"
    return make_plan(wanted, federation.schema, together, run, rehearsal=True)


class StandIns:
    """The sites of a rehearsal that are none, in this process; everything else is sent on."""

    def __init__(self, plan: Plan, folder: Path, others: Send) -> None:
        self._others = others
        self._vaults = {}
        for name in _STAND_INS:
            # by name: the two sides do not import each other
            import_module("client.site").Site(_stand_in(folder, name)).rehearse(plan)
            self._vaults[name] = import_module("client.vault").Vault(_stand_in(folder, name))

    def send(self, frames: Mapping[str, bytes]) -> dict[str, bytes]:
        """As ``Send`` promises."""
        sent = {site: raw for site, raw in frames.items() if site not in self._vaults}
        answers = self._others(sent) if sent else {}
        here = {site: self._vaults[site].handle(raw) for site, raw in frames.items() if site in self._vaults}
        return {**answers, **here}


def _stand_in(folder: Path, name: str) -> Path:
    return folder / "stand-ins" / name
