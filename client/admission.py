"""A plan arrives: from our coordinator and about us, or it is not even kept for the steward to read."""

from __future__ import annotations

from common.errors import MalformedMessageError, NotApprovedError, NotJoinedError
from common.limits import check_plan
from common.plan import PROPOSE_STEP, Party, Plan
from common.protocol import frames
from common.protocol.messages import Propose, Standing
from common.schema import Schema

from .membership import Membership
from .proposals import Proposals
from .site import Site


def proposed(site: Site, frame: frames.Frame) -> Standing:
    """Keep a proposed plan, and say where it stands with the steward. A rehearsal needs nobody's approval:
    it is for made-up records.

    Raises NotApprovedError for a plan of another coordinator or without us, ConfigError for one that could
    not run, and as ``Proposals.propose``.
    """
    if frame.header.step != PROPOSE_STEP:
        raise MalformedMessageError(f"{Propose.kind!r} belongs to step {PROPOSE_STEP!r}")
    request = Propose.from_bytes(frame.body)
    plan = Plan.from_json(request.plan)
    coordinator = _coordinator(site, plan)
    frames.check(frame, coordinator.identity, plan=plan.hash, sender=coordinator.name)
    if plan.to_json() != request.plan or plan.federation.coordinator != coordinator:
        raise NotApprovedError("this is not a plan of our coordinator")
    if plan.federation.identity_of(site.name) != site.identity.public:
        raise NotApprovedError("this site is not in the roster of the plan")
    if plan.rehearsal:
        check_plan(plan, Schema.from_json(request.table))
        site.rehearse(plan)
        return Standing(standing="approved")
    return Standing(standing=Proposals(site.folder).propose(plan, request.table))


def _coordinator(site: Site, plan: Plan) -> Party:
    """Whose word counts here. A simulated site has no membership; it knows the plans it approved."""
    try:
        return Membership.load(site.folder).coordinator
    except NotJoinedError as error:
        known = Proposals(site.folder).standing(plan.hash) == "approved" or site.rehearses(plan)
        if not known:
            raise NotApprovedError("this site belongs to no federation that could propose plans") from error
        return plan.federation.coordinator
