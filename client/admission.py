"""A plan arrives: from our coordinator and about us, or it is not even kept for the steward to read."""

from __future__ import annotations

from common.errors import ConfigError, MalformedMessageError, NotApprovedError, NotJoinedError
from common.limits import check_plan
from common.phases import ArrayMeasure
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
    not run or a rehearsal that asks for more than a rehearsal needs, and as ``Proposals.propose``.
    """
    header = frame.header
    if header.step != PROPOSE_STEP:
        raise MalformedMessageError(f"{Propose.kind!r} belongs to step {PROPOSE_STEP!r}")
    joined, coordinator = _authority(site, header.plan)
    # before anything of it is parsed
    frames.check(frame, coordinator.identity, plan=header.plan, sender=coordinator.name)
    request = Propose.from_bytes(frame.body)
    plan = Plan.from_json(request.plan)
    frames.check_plan(header, plan.hash)
    if plan.to_json() != request.plan or plan.federation.coordinator != coordinator:
        raise NotApprovedError("this is not a plan of our coordinator")
    if plan.federation.identity_of(site.name) != site.identity.public:
        raise NotApprovedError("this site is not in the roster of the plan")
    schema = Schema.from_json(request.table)
    check_plan(plan, schema)
    if plan.rehearsal:
        _check_rehearsal(plan, schema, joined)
        site.rehearse(plan)
        return Standing(standing="approved")
    return Standing(standing=Proposals(site.folder).propose(plan, request.table))


def _check_rehearsal(plan: Plan, schema: Schema, joined: Membership | None) -> None:
    """Nobody reads a rehearsal beforehand: it must not keep a site busy. Raises ConfigError."""
    if joined is not None and schema.hash != joined.schema_hash:
        raise ConfigError("a rehearsal is for the schema that came with the kit")
    if schema.hash != plan.schema_hash:
        raise ConfigError("the schema sent is not the schema of the plan")
    if plan.train is not None or (isinstance(plan.measure, ArrayMeasure) and plan.measure.views):
        raise ConfigError("a rehearsal counts and measures, and trains nothing")


def _authority(site: Site, plan_hash: str) -> tuple[Membership | None, Party]:
    """Whose word counts here. A simulated site has no membership; it knows the plans it approved."""
    try:
        membership = Membership.load(site.folder)
    except NotJoinedError as error:
        try:
            return None, site.approved(plan_hash).federation.coordinator
        except NotApprovedError:
            raise NotApprovedError("this site belongs to no federation that could propose plans") from error
    return membership, membership.coordinator
