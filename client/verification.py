"""Whether a site's ledger is whole: the chain, how far it goes, and that every answer that left is in it."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import LedgerError
from common.privacy.entries import Answered, Charge
from common.protocol.messages import Contribute

from .answers import Answers
from .outbox import Outbox
from .site import Site


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked.

    charges, answers: lines of the ledger; stored: contributions of which the site keeps at least the hash,
    all of them charged; unanswered: charged steps of which no answer is known to have left
    """

    charges: int
    answers: int
    stored: int
    unanswered: list[str]


def verify(site: Site) -> Verified:
    """Check a site's ledger against itself and against the answers in its run folders.

    Raises LedgerError if a line was altered or is missing, or if a contribution was made that was not
    charged: then an older copy was put in its place, and the budget is not what it says.
    """
    kept = [
        (run.name, step, digest)
        for run in sorted((site.folder / "runs").glob("*"))
        for step, digest in Answers(run).every(Contribute.kind)
    ]  # before the ledger, which is charged first: a run may go on while we look
    lines = site.ledger.lines()
    charges = [line for line in lines if isinstance(line, Charge)]
    left = {(line.plan, line.step): line.answer for line in lines if isinstance(line, Answered)}
    charged = {(line.plan, line.step) for line in charges}
    for plan, step, digest in kept:
        if (plan, step) not in charged or left.get((plan, step), digest) != digest:
            raise LedgerError(
                f"step {step} of plan {plan[:12]} was answered, the ledger does not know it",
                hint="an older copy is in its place; find the newer one before anything else is sent",
            )
    unanswered = [f"{c.plan[:12]} {c.step}" for c in charges if (c.plan, c.step) not in left]
    return Verified(len(charges), len(left), len(kept), unanswered)


def unlisted(site: Site) -> list[str]:
    """Answers in the ledger of which the outbox has no line, as plan and step.

    Lines were taken out or moved elsewhere; or a crash, or this very moment, lies between ledger and outbox,
    and the answer has not left: which of them, nobody can tell from here, so it is no error.
    Raises ConfigError, LedgerError or OutboxError.
    """
    answers = site.ledger.answers()
    listed = {line.sha256 for line in Outbox(site.folder).lines()}
    return [f"{line.plan[:12]} {line.step}" for line in answers if line.answer not in listed]
