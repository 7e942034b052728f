"""A site's ledger as a steward reads it: what each plan was charged, and how epsilon rose to what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from common.errors import PrivacyTargetError
from common.plan import attempted
from common.privacy.accounting import epsilon, repeated
from common.privacy.entries import Answered, Charge, Entry, Outcome
from common.privacy.mechanism import Mechanism, SampledGaussian, Unit

from .site import Site

MOST_POINTS = 32
"""At which epsilon is computed inside of plans; each takes tens of milliseconds."""

MOST_GROUPS = 100
"""Of which epsilon after the last charge is computed, the latest ones."""


@dataclass(slots=True)
class Group:
    """The charges of one plan for one kind of step.

    step: count, measure, train or evaluate; charges, answered: how many; first, last: times (UTC, ISO)
    failed: error codes of steps that failed, and how often; epsilon: of everything charged at this site up
    to the last of these charges, None if that was not computed
    """

    plan: str
    step: str
    first: str
    last: str = ""
    charges: int = 0
    answered: int = 0
    mechanisms: list[Mechanism] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    abandoned: int = 0
    end: int = 0
    epsilon: float | None = None

    def take(self, charge: Charge, number: int) -> None:
        """Count one more charge, the ``number``-th of the ledger."""
        self.last, self.end = charge.time, number
        self.charges += 1
        if charge.mechanism not in self.mechanisms:
            self.mechanisms.append(charge.mechanism)

    def noise(self, unit: str) -> str:
        """The mechanism in words. unit: record or subject"""
        least, most = (
            end(one.noise_multiplier for one in self.mechanisms) for end in (min, max)
        )  # another attempt can cost more
        noise = f"noise {least:.3g}" + (f" to {most:.3g}" if most > least else "")
        first = self.mechanisms[0]
        if not isinstance(first, SampledGaussian):
            return f"a sum over all {unit}s, {noise} times what one can change it"
        steps = f" {first.steps} steps," if first.steps > 1 else ""
        drawn = f"each {unit} drawn with probability {first.sample_rate:.3g}"
        return f"DP-SGD:{steps} {drawn}, {noise} times the clip"


@dataclass(frozen=True, slots=True)
class Spending:
    """The whole ledger.

    groups: in order of their first charge; endings: of plans, ``finished`` for one; unit: that all charges
    protect, None without any; points: (time, charges so far, epsilon of all of them); spent, cap: epsilon
    """

    groups: list[Group]
    endings: dict[str, str]
    unit: Unit | None
    charges: int
    points: list[tuple[str, int, float]]
    spent: float
    cap: float
    delta: float

    @property
    def left(self) -> float:
        """What may still be spent. Not a sum that plans can be subtracted from: epsilon is not additive."""
        return max(0.0, self.cap - self.spent)


def spending(site: Site) -> Spending:
    """Read and account for a site's ledger. Raises ConfigError, LedgerError or PrivacyTargetError."""
    policy, lines = site.policy, site.ledger.lines()
    charges = [line for line in lines if isinstance(line, Charge)]
    groups = _groups(lines)
    ends = {group.end for group in groups[-MOST_GROUPS:]}
    after = _accounted(charges, sorted(ends | _spread(len(charges))), policy.delta)
    for group in groups:
        group.epsilon = after.get(group.end)
    return Spending(
        groups=groups,
        endings={line.plan: line.outcome for line in lines if isinstance(line, Outcome) and not line.step},
        unit=charges[0].unit if charges else None,
        charges=len(charges),
        points=[(charges[number - 1].time, number, after[number]) for number in sorted(after)],
        spent=after.get(len(charges), 0.0),
        cap=policy.epsilon_cap,
        delta=policy.delta,
    )


def _groups(lines: Iterable[Entry]) -> list[Group]:
    found: dict[tuple[str, str], Group] = {}
    number = 0
    for line in lines:
        place = (line.plan, attempted(line.step)[0].partition("-")[0])
        if isinstance(line, Charge):
            number += 1
            found.setdefault(place, Group(*place, first=line.time)).take(line, number)
        elif (group := found.get(place)) is None:
            continue  # of a whole plan
        elif isinstance(line, Answered):
            group.answered += 1
        elif line.outcome == "failed":
            group.failed[line.reason or "internal"] += 1
        else:
            group.abandoned += line.outcome == "abandoned"
    return list(found.values())


def _spread(count: int) -> set[int]:
    """The first, the last and some between; mostly the same ones when there are more, as they are kept."""
    grain = 1 << max(0, (count // MOST_POINTS).bit_length())
    return {1, count, *range(grain, count + 1, grain)} if count else set()


def _accounted(charges: Sequence[Charge], ends: Sequence[int], delta: float) -> dict[int, float]:
    """Epsilon of the first so many charges. Raises PrivacyTargetError if that of all is beyond computing."""
    counts: Counter[Mechanism] = Counter()
    found, before = {}, 0
    for end in ends:
        counts.update(charge.mechanism for charge in charges[before:end])
        before = end
        try:
            found[end] = epsilon(_many(counts), delta)
        except PrivacyTargetError:
            if end == len(charges):
                raise
    return found


def _many(counts: Counter[Mechanism]) -> Iterable[Mechanism]:
    return (part for mechanism, count in counts.items() for part in repeated(mechanism, count))
