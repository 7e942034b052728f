"""Privacy spent over the steps of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..plan import Plan
from ..privacy.accounting import epsilon, rounded_up
from ..privacy.mechanism import Mechanism

_MOST = 24  # points worked out: each takes the composition of everything before it

BEFORE = "earlier runs"


class Spent(NamedTuple):
    """After a step. number: of steps done, 0 for what the runs that it continues have spent."""

    step: str
    number: int
    epsilon: float


def spent(plan: Plan, attempts: Mapping[str, int]) -> list[Spent]:
    """Epsilon after the steps of a plan, all sites' noise but that of ``collusion`` sites counted.

    Of many steps some are left out, never the first two or the last. attempts: at steps that were tried again
    """
    earlier = list(plan.continues.mechanisms) if plan.continues else []
    steps = list(plan.steps)
    wanted = _chosen(len(steps))
    found = [Spent(BEFORE, 0, _epsilon(earlier, plan))]
    done: list[Mechanism] = list(earlier)
    for number, step in enumerate(steps, 1):
        done += plan.charges(step, attempts.get(step, 1))
        if number in wanted:
            found.append(Spent(step, number, _epsilon(done, plan)))
    return found


def _epsilon(mechanisms: list[Mechanism], plan: Plan) -> float:
    return rounded_up(epsilon(mechanisms, plan.privacy.delta))


def _chosen(count: int) -> set[int]:
    if count <= _MOST:
        return set(range(1, count + 1))
    spread = {round(1 + (count - 1) * place / (_MOST - 1)) for place in range(_MOST)}
    return spread | {1, 2, count}
