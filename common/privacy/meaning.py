"""What epsilon means: the most that any attacker can find out about who took part, from the whole privacy
profile.

An attacker guesses whether a unit took part. If a mechanism is (e, d)-private, then a guess with false
positive rate f has a true positive rate of at most min(exp(e) f + d, 1 - exp(-e) (1 - d - f)) (Wasserman and
Zhou 2010; Kairouz, Oh and Viswanath 2015, theorem 2.1). A run is (e, d(e))-private for every e at once, so
the least over all e holds: the trade-off curve of Dong, Roth and Su 2022, proposition 2.12. One point
(epsilon, delta) alone says much less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from .accounting import deltas
from .mechanism import Mechanism, Unit

RATES = (0.01, 0.001)
"""False positive rates that are reported."""

_MOST_EPSILON, _STEPS = 20.0, 4001  # epsilons that are tried: any choice gives a valid bound

NOT_COVERED = (
    "what is known without the run (the schema, the plan, and what is true of everybody alike)",
    "records of others who are related to a unit, which the guarantee protects one by one",
    "sites that keep their records, or what their staff may see there",
    "software that does not do what it says",
)
"""What no figure of a privacy budget says anything about."""

_UNITS: dict[str, str] = {
    "add/remove one record": "records",
    "add/remove one subject": "participants",
}


class Meaning(BaseModel):
    """The most that an attacker with one view of a run can achieve.

    view: who looks, as ``Plan.views`` has it; most: true positive rate for each of ``false_positive_rates``
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    view: str
    unit: Unit
    false_positive_rates: tuple[float, ...]
    most: tuple[float, ...] = Field(min_length=1)
    not_covered: tuple[str, ...] = NOT_COVERED

    @property
    def sentence(self) -> str:
        """In plain words, at the first rate; rounded up."""
        rate, most = self.false_positive_rates[0], self.most[0]
        shown = min(100.0, np.ceil(1000 * most) / 10)
        return (
            f"An attacker who knows everything but whether one of the {_UNITS[self.unit]} took part, and "
            f"who wrongly accuses {100 * rate:g} % of those who did not, finds at most {shown:.3g} % of "
            f"those who did, whatever the method; by guessing it would be {100 * rate:g} %."
        )


def meaning(view: str, mechanisms: Iterable[Mechanism], unit: Unit) -> Meaning:
    """Of everything that was charged, in the eyes of one view. Raises PrivacyTargetError."""
    return Meaning(
        view=view, unit=unit, false_positive_rates=RATES, most=most_true_positives(mechanisms, RATES)
    )


def meanings(views: Mapping[str, Iterable[Mechanism]], unit: Unit) -> tuple[Meaning, ...]:
    """One for each view."""
    return tuple(meaning(view, mechanisms, unit) for view, mechanisms in views.items())


def most_true_positives(mechanisms: Iterable[Mechanism], rates: tuple[float, ...]) -> tuple[float, ...]:
    """The largest true positive rate of any attack at each false positive rate, never rounded down.

    It holds for the adaptive composition of all mechanisms, under add/remove of one unit.
    """
    epsilons = np.linspace(0.0, _MOST_EPSILON, _STEPS)
    profile = np.asarray(deltas(mechanisms, epsilons.tolist()), np.float64).clip(0, 1)
    return tuple(_least_bound(epsilons, profile, rate) for rate in rates)


def from_one_point(epsilon: float, delta: float, rate: float) -> float:
    """The same from one (epsilon, delta) only: valid, and much looser."""
    return _least_bound(np.array([epsilon]), np.array([delta]), rate)


def _least_bound(epsilons: np.ndarray, profile: np.ndarray, rate: float) -> float:
    grown = np.exp(epsilons) * rate + profile
    converse = 1 - np.exp(-epsilons) * (1 - profile - rate)
    return float(min(1.0, grown.min(), converse.min()))
