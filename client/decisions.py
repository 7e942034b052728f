"""A data steward's yes or no to a plan: the same checks and lines in the log, however it is given."""

from __future__ import annotations

from common.errors import ConfigError
from common.plan import Plan

from .preflight import check_for_site
from .proposals import Proposals
from .site import Site


def approve(site: Site, known: str) -> Plan:
    """Say yes to a proposed plan. known: its hash, or the beginning of it.

    Raises NotReadyError if it is not by this site's coordinator or for this site; UnknownPlanError,
    ProposalError or StorageError as ``Proposals.approve``.
    """
    proposals = Proposals(site.folder)
    check_for_site(proposals.plan(proposals.find(known)), site)
    plan = proposals.approve(known)
    site.log.info("plan %s approved by the steward", plan.hash)
    return plan


def refuse(site: Site, known: str, reason: str) -> str:
    """Say no for good, or take an approval back; returns the plan's hash.

    reason: for this site's own log, never sent. Raises ConfigError without one, UnknownPlanError.
    """
    if not reason.strip():
        raise ConfigError("a reason is needed", hint="it is for the site's own log and is never sent")
    found = Proposals(site.folder).refuse(known, reason)
    site.log.info("plan %s refused by the steward: %r", found, reason)
    return found
