"""What a site's ledger is told about the end of a step or a run: it failed, was abandoned, is finished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import FedcganError
from common.plan import COUNT_STEP, EVALUATE_STEP, MEASURE_STEP, Plan, attempt, attempted
from common.privacy.ledger import Ledger
from common.privacy.mechanism import GaussianSum, Mechanism


@contextmanager
def failures(ledger: Ledger, plan: Plan, step: str) -> Iterator[None]:
    """Write down that a charged step failed if what is inside raises, and raise it on.

    The reason is an error code: the text of an unexpected error could quote a record.
    """
    try:
        yield
    except Exception as error:
        reason = error.code if isinstance(error, FedcganError) else "internal"
        ledger.ended("failed", plan=plan.hash, step=step, reason=reason)
        raise


def note_answer(ledger: Ledger, reply: bytes, plan: Plan, step: str) -> None:
    """Write down an answer that is about to leave, and what it makes of earlier attempts and of the run.

    Writes each line once, so that it may be called again after a crash.
    """
    ledger.answered(reply, plan=plan.hash, step=step)
    planned, number = attempted(step)
    for earlier in range(1, number):
        ledger.ended("abandoned", plan=plan.hash, step=attempt(planned, earlier))
    if planned == list(plan.steps)[-1]:
        ledger.ended("finished", plan=plan.hash)


def cost(mechanism: Mechanism, step: str, plan: Plan, ledger: Ledger) -> Mechanism:
    """What a step costs a unit of this site on top of what the ledger has; the same if it is asked again.

    A unit held out pays for the evaluation as much as one trained on for all sums of the run. Where this site
    missed one of them, what it was not charged then is charged now (1 / variance adds). Another attempt costs
    a unit held out all of that again.
    """
    if (evaluate := plan.release.evaluate) is None or attempted(step)[0] != EVALUATE_STEP:
        return mechanism
    ours = {entry.step: entry.mechanism for entry in ledger.entries() if entry.plan == plan.hash}
    if step in ours:
        return ours[step]
    if any(attempted(charged)[0] == EVALUATE_STEP for charged in ours):
        return evaluate.alone
    sums = [charged for charged in ours.values() if isinstance(charged, GaussianSum)]
    missing = evaluate.alone.noise_multiplier**-2 - sum(one.noise_multiplier**-2 for one in sums)
    if missing <= evaluate.noise_multiplier**-2 * (1 + 1e-6):  # rounding
        return mechanism
    return GaussianSum(noise_multiplier=missing**-0.5)


def l2_sensitivity(step: str, plan: Plan) -> float:
    """How far a unit moves what a step sums up (L2): feature maps have norm 1, gradients their clip."""
    of_features = (COUNT_STEP, MEASURE_STEP, EVALUATE_STEP)
    trained = plan.train is not None and attempted(step)[0] not in of_features
    return plan.train.max_grad_norm if trained and plan.train else 1.0
