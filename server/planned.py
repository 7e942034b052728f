"""From a federation's members and what people want to a plan that can be proposed to them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from common.errors import ConfigError
from common.plan import Plan
from common.planning import federation_of, make_plan
from common.run_config import RunConfig

from .federation import FederationFolder


def planned(federation: FederationFolder, wanted: RunConfig, sites: Sequence[str] | None) -> Plan:
    """A plan for these members, or for all. Raises ConfigError for one that is none, and as ``make_plan``."""
    members = {member.name: member for member in federation.members() if member.state == "admitted"}
    names = list(dict.fromkeys(sites)) if sites else sorted(members)
    if strangers := sorted(set(names) - set(members)):
        raise ConfigError(
            f"{', '.join(strangers)}: not a member of this federation",
            hint="fedcgan federation list shows who is",
        )
    if len(names) < 3:
        raise ConfigError(
            f"{len(names)} sites; a plan needs three at least, or a sum would show what a site holds",
            hint="invite and admit more: fedcgan federation invite",
        )
    roster = [members[name].party for name in names]
    together = federation_of(wanted, federation.coordinator, roster)
    run = f"{wanted.name}-{uuid.uuid4().hex[:12]}"
    return make_plan(wanted, federation.schema, together, run)
