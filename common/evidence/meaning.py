"""What epsilon means, as a page prints it: the most that any attacker can find, in each view."""

from __future__ import annotations

from collections.abc import Mapping

from ..plan import Plan
from ..privacy.meaning import RATES, most_true_positives
from .content import Meaning


def meanings(plan: Plan, attempts: Mapping[str, int]) -> tuple[Meaning, ...]:
    """For every view and rate, of everything that was charged. Raises PrivacyTargetError."""
    return tuple(
        Meaning(view, rate, most)
        for view in plan.views
        for rate, most in zip(
            RATES, most_true_positives(plan.charged_in_view(view, attempts, plan.rounds), RATES), strict=True
        )
    )
