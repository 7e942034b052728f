"""What a plan would send from this site and spend of its budget, before anybody says yes."""

from __future__ import annotations

from dataclasses import dataclass

from common.contributions import encoding
from common.crypto import ring
from common.crypto.threshold import CIPHERTEXT_SHAPE, PARTIAL_SHAPE
from common.errors import BudgetExceededError, MixedUnitsError, PrivacyTargetError
from common.limits import check_plan
from common.plan import Plan
from common.schema import Schema

from .site import Site

_HEADER = 344  # header, signature, field names and tag of a contribution


@dataclass(frozen=True, slots=True)
class Leaving:
    """What leaves in one kind of step, each time: numbers, their ciphertexts, bytes.

    opening_bytes: more, of a key-holder that helps to open the sum
    """

    step: str
    times: int
    numbers: int
    ciphertexts: int
    bytes: int
    opening_bytes: int


@dataclass(frozen=True, slots=True)
class Budget:
    """Of the site's ledger, by its own policy.

    now, after, cap: epsilon; after: None if the plan does not fit; problem: then why
    """

    now: float
    after: float | None
    cap: float
    delta: float
    problem: str = ""


def budget(site: Site, plan: Plan) -> Budget:
    """What the plan does to the site's budget. Nothing is charged. Raises ConfigError or LedgerError."""
    policy = site.policy
    now, after, problem = site.ledger.spent(policy.delta), None, ""
    if plan.rehearsal:
        return Budget(now, now, policy.epsilon_cap, policy.delta)
    try:
        after = site.ledger.check(plan.mechanisms, policy.cap, plan.hash, plan.privacy.unit)
    except (BudgetExceededError, MixedUnitsError, PrivacyTargetError) as error:
        problem = error.message
    return Budget(now, after, policy.epsilon_cap, policy.delta, problem)


def leaving(plan: Plan, schema: Schema) -> list[Leaving]:
    """Sizes of each kind of step. Raises ConfigError or HeadroomError for a plan that cannot work."""
    check_plan(plan, schema)
    found = []
    for step, often in plan.kinds.items():
        packing = encoding(step, schema, plan).packing
        sent = packing.chunks * ring.byte_length(*CIPHERTEXT_SHAPE) + _HEADER
        opening = packing.chunks * ring.byte_length(*PARTIAL_SHAPE)
        found.append(Leaving(step.partition("-")[0], often, packing.count, packing.chunks, sent, opening))
    return found
