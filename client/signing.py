"""A site's name under a release: only under a bundle that it checked, of a run that it took part in, and that
cost no more than it agreed to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.bundle.signatures import Signature
from common.bundle.verification import Verified, verify
from common.errors import (
    AboveAgreedError,
    NotApprovedError,
    NotJoinedError,
    NotOurRunError,
    UnderstatedError,
)
from common.plan import Party, Plan
from common.privacy.accounting import epsilon

from .membership import Membership
from .site import Site
from .standing import keys_of, remove

_SLACK, _ROUNDING = 1e-6, 1e-3  # relative; absolute: a bundle's epsilon is rounded up


@dataclass(frozen=True, slots=True)
class Signable:
    """A bundle that this site may sign.

    charged: epsilon of what its ledger holds for this plan; agreed: the most that it agreed to
    """

    verified: Verified
    site: Site
    charged: float
    agreed: float


def signable(bundle: Path, site: Site) -> Signable:
    """Check a bundle as this site must before it signs.

    Raises BundleError or one of its kinds: NotOurRunError if the plan was not approved here, or this site
    gave nothing to the run; UnderstatedError if its ledger was charged more than the bundle says;
    AboveAgreedError if the bundle costs more than was agreed; UnknownSignerError if the coordinator is not
    that of its federation.
    """
    verified = verify(bundle, signer=coordinator_of(site), complete=False)
    plan = verified.claims.plan
    _check_ours(plan, site)
    ours = [line.mechanism for line in site.ledger_of(plan).entries() if line.plan == plan.hash]
    if not ours:
        raise NotOurRunError(
            f"this site's ledger has nothing of plan {plan.hash[:12]}",
            hint="it approved the plan but gave nothing to the run; what it did not see it does not sign",
        )
    earlier = plan.continues.mechanisms if plan.continues else []
    charged = epsilon([*earlier, *ours], plan.privacy.delta)
    said, agreed = verified.manifest.epsilon, max(plan.privacy.epsilon, charged)
    if said < charged * (1 - _SLACK):
        raise UnderstatedError(
            f"the bundle says epsilon {said:g}, this site's ledger was charged {charged:.4f} for it",
            hint="ask the coordinator why attempts are missing; do not sign",
        )
    if said > agreed * (1 + _SLACK) + _ROUNDING:
        raise AboveAgreedError(
            f"the bundle says epsilon {said:g}, this site agreed to {agreed:.4f}",
            hint="ask the coordinator what else was spent; do not sign",
        )
    return Signable(verified, site, charged, agreed)


def counter_sign(bundle: Path, folder: Path) -> Signature:
    """The counter-signature of the site in ``folder``, after all checks. Raises as ``signable``."""
    return sign(signable(bundle, Site(folder)))


def sign(checked: Signable) -> Signature:
    """The site's signature under a bundle that was checked.

    The run is over then: its keys are removed here, so that whoever gets at the site later can open nothing
    of it. To sign again needs none.
    """
    site, manifest = checked.site, checked.verified.manifest
    signer = Party(name=site.name, identity=site.identity.public)
    signature = Signature.make("site", signer, site.identity, manifest)
    with site.locked():
        removed = remove(keys_of(site.run_folder(manifest.plan)))
    site.log.info(
        "release %s of plan %s counter-signed, %d keys removed", manifest.hash, manifest.plan, len(removed)
    )
    return signature


def coordinator_of(site: Site) -> str | None:
    """The key of the coordinator of its federation, None for a simulated site. Raises NotJoinedError."""
    try:
        return Membership.load(site.folder).coordinator.identity
    except NotJoinedError:
        if (site.folder / "membership.json").exists():
            raise
        return None


def _check_ours(plan: Plan, site: Site) -> None:
    if plan.federation.identity_of(site.name) != site.identity.public:
        raise NotOurRunError(f"{site.name} is not in this plan's roster with the key it has here")
    try:
        approved = site.approved(plan.hash)
    except NotApprovedError as error:
        raise NotOurRunError(
            f"plan {plan.hash[:12]} was not approved at this site, or the approval was taken back",
            hint="fedcgan site plans shows what was",
        ) from error
    if approved.rehearsal or approved != plan:
        raise NotOurRunError("the plan of this bundle is not the one approved here")
