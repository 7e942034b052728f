"""The privacy gate on the records of one place: does the release tell who was trained on?

Every criterion compares training records with held-out ones, which a fresh draw is as near to. It fails if
its value is above the plan's threshold **and** an exact test refutes, at a hundredth shared among all
criteria, that training and held-out units are alike: a generator that draws afresh fails less than once in a
hundred gates. It passes only if twice the threshold would have failed in 19 of 20 cases; otherwise it is
inconclusive. With subjects, units are subjects: each counts once, by its most telling record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..arrays import Arrays
from ..errors import TooFewRecordsError
from ..release_terms import GateTerms
from ..schema import Schema
from .anonymity import Attack
from .attacks import CLOSE, density_scores
from .figures import Criterion, Gate, Verdict
from .intervals import more_than_chance, newcombe
from .nearness import nearest, nearest_other
from .rates import Evidence, at_false_positive_rate, least_excess
from .space import Records, Space, space_of

FALSE_ALARMS = 0.01
"""Of gates of a generator that draws afresh, how many may fail."""

LEAST_HELD_OUT = {0.01: 300, 0.001: 3000}
"""Held-out units without which a false positive rate of 1 % or 0.1 % cannot be told from twice as many."""

_MOST = 10_000  # records of each side that the distance to the closest record looks at
_SEED = 20_240_603

Subjects = NDArray[np.generic]
Scores = NDArray[np.floating]


@dataclass(frozen=True)
class _Units:
    """Training and held-out records as units. places: the unit of each record, training first"""

    places: tuple[NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def of(cls, training: Records, holdout: Records, subjects: tuple[Subjects, Subjects] | None) -> _Units:
        if subjects is None:
            return cls((np.arange(len(training)), np.arange(len(holdout))))
        first, second = (np.unique(side, return_inverse=True)[1] for side in subjects)
        return cls((first, second))

    def most(self, values: NDArray[np.floating]) -> tuple[Scores, Scores]:
        """The largest value of each unit, of values of training and then held-out records."""
        cut = len(self.places[0])
        found = []
        for places, part in zip(self.places, (values[:cut], values[cut:]), strict=True):
            largest = np.full(places.max() + 1, -np.inf)
            np.maximum.at(largest, places, part)
            found.append(largest)
        return found[0], found[1]


def gate(
    training: Records,
    holdout: Records,
    synthetic: Records,
    schema: Schema,
    terms: GateTerms,
    *,
    subjects: tuple[Subjects, Subjects] | None = None,
    discriminator_scores: tuple[Scores, Scores] | None = None,
    anonymity: tuple[Attack, ...] | str = "anonymeter was not asked for",
) -> Gate:
    """The criteria, of records that only their place may see.

    training, holdout, synthetic: codes int64[records, columns], or Arrays; subjects: whose training and
    held-out records are; discriminator_scores: what the released or last discriminator says of training and
    held-out records, the higher, the more real; anonymity: what anonymeter found, or why it was not run
    Raises TooFewRecordsError without at least 2 training, held-out and different synthetic records.
    """
    if min(len(training), len(holdout)) < 2:
        raise TooFewRecordsError("a gate needs at least 2 training and 2 held-out records")
    space = space_of(schema)
    pool = _joined(training, holdout)
    units = _Units.of(training, holdout, subjects)
    found = nearest(pool, synthetic, space)
    attacks = {"density": units.most(density_scores(found, pool, space))}
    if discriminator_scores is not None:
        attacks["discriminator"] = units.most(np.concatenate(discriminator_scores))
    asked = 2 + 2 * len(attacks) + (len(anonymity) if isinstance(anonymity, tuple) else 0)
    failure = FALSE_ALARMS / asked
    exact = units.most(found.exact.astype(np.float64))
    near = units.most((found.ratio < CLOSE).astype(np.float64))
    criteria = [
        _copies(exact, len(synthetic), terms, failure),
        _close(near, terms, failure),
        *(
            criterion
            for name, (inside, outside) in attacks.items()
            for criterion in _membership(name, inside, outside, terms, failure)
        ),
        *_anonymity(anonymity, isinstance(pool, Arrays), terms, failure),
        _closest(training, holdout, synthetic, space),
    ]
    return Gate(criteria=tuple(criteria))


def _joined(training: Records, holdout: Records) -> Records:
    if isinstance(training, Arrays):
        assert isinstance(holdout, Arrays)
        values = np.concatenate([training.values, holdout.values])
        return Arrays(values, np.concatenate([training.labels, holdout.labels]))
    assert isinstance(holdout, np.ndarray)
    return np.concatenate([training, holdout])


def excess(
    hits: float, tries: int, control: float, controls: int, scale: float, threshold: float, failure: float
) -> Evidence:
    """By how much the share of hits is larger than among controls, times ``scale``."""
    low, high = newcombe(hits, tries, control, controls)
    return Evidence(
        (hits / tries - control / controls) * scale,
        low * scale,
        high * scale,
        more_than_chance(hits, tries, control, controls),
        least_excess(tries, controls, control / controls, scale, threshold, failure),
    )


def verdict_of(found: Evidence, threshold: float, failure: float) -> Verdict:
    """The rule of the gate, the same for every criterion."""
    if found.value > threshold and found.p_value < failure:
        return "failed"
    if found.resolution is None or found.resolution > 2 * threshold:
        return "inconclusive"
    return "passed"


def criterion(
    name: str, title: str, how: str, found: Evidence, threshold: float, failure: float
) -> Criterion:
    """A line of the gate; an inconclusive one says what is lacking."""
    verdict = verdict_of(found, threshold, failure)
    if verdict == "inconclusive":
        how += " There are too few records: twice the threshold would not have been seen in 19 of 20 cases."
    return Criterion(
        name=name,
        title=title,
        value=found.value,
        low=found.low,
        high=found.high,
        threshold=threshold,
        resolution=found.resolution,
        verdict=verdict,
        source="records",
        how=how,
    )


def _copies(exact: tuple[Scores, Scores], made: int, terms: GateTerms, failure: float) -> Criterion:
    inside, outside = exact
    scale = len(inside) / made
    found = excess(inside.sum(), len(inside), outside.sum(), len(outside), scale, terms.copies, failure)
    return criterion(
        "copies",
        "Synthetic records that equal a training record, beyond coincidence",
        f"{int(inside.sum())} of {len(inside)} training and {int(outside.sum())} of {len(outside)} held-out "
        "units are equalled by a synthetic record; the difference of shares, times training units over "
        "synthetic records. Interval: Newcombe 1998.",
        found,
        terms.copies,
        failure,
    )


def _close(near: tuple[Scores, Scores], terms: GateTerms, failure: float) -> Criterion:
    inside, outside = near
    found = excess(inside.sum(), len(inside), outside.sum(), len(outside), 1.0, terms.close, failure)
    return criterion(
        "close",
        "Training records with a synthetic record much nearer than the next",
        f"Nearest-neighbour distance ratio below {CLOSE:.2f}, to different synthetic records: "
        f"{int(inside.sum())} of {len(inside)} training and {int(outside.sum())} of {len(outside)} held-out "
        "units; the difference of shares. Interval: Newcombe 1998.",
        found,
        terms.close,
        failure,
    )


_ATTACKS = {
    "density": "density attack on the synthetic records (after DOMIAS, van Breugel et al. 2023)",
    "discriminator": "attack by the discriminator's own score (after LOGAN, Hayes et al. 2019)",
}


def _membership(
    name: str, inside: Scores, outside: Scores, terms: GateTerms, failure: float
) -> list[Criterion]:
    criteria = []
    for rate, short, threshold in (
        (0.01, "tpr1", terms.tpr_at_1_percent),
        (0.001, "tpr01", terms.tpr_at_01_percent),
    ):
        found = at_false_positive_rate(inside, outside, rate, threshold, failure)
        how = (
            f"True positive rate of the {_ATTACKS[name]}, {len(inside)} training against {len(outside)} "
            "held-out units. Interval: Clopper-Pearson, at thresholds whose rate is sure at 95 %."
        )
        one = criterion(
            f"{short}.{name}",
            f"Members found by the {name} attack at {100 * rate:g} % false alarms",
            how,
            found,
            threshold,
            failure,
        )
        if len(outside) < LEAST_HELD_OUT[rate]:
            lack = f" A rate of {100 * rate:g} % needs {LEAST_HELD_OUT[rate]} held-out units to be measured."
            one = one.model_copy(update={"verdict": "inconclusive", "how": how + lack})
        criteria.append(one)
    return criteria


def _anonymity(
    outcome: tuple[Attack, ...] | str, arrays: bool, terms: GateTerms, failure: float
) -> list[Criterion]:
    if isinstance(outcome, str):
        if arrays:
            return []
        how = f"Not run: {outcome}. It decides nothing here; nothing is known about it."
        title = "Singling out, linking and inferring (anonymeter)"
        return [
            Criterion(
                name="anonymeter",
                title=title,
                value=None,
                threshold=terms.risk,
                verdict="information",
                source="records",
                how=how,
            )
        ]
    return [_risk(attack, terms, failure) for attack in outcome]


def _risk(attack: Attack, terms: GateTerms, failure: float) -> Criterion:
    """Excess over control, over what control leaves: anonymeter's residual risk."""
    left = max(1 - attack.control_hits / attack.controls, 1 / attack.controls)
    found = excess(
        attack.hits, attack.tries, attack.control_hits, attack.controls, 1 / left, terms.risk, failure
    )
    found = replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))
    return criterion(
        attack.name,
        attack.title,
        f"{attack.how} {attack.hits} of {attack.tries} attacks on training and {attack.control_hits} of "
        f"{attack.controls} on held-out records succeed; the excess, over what is left (Giomi et al. 2023).",
        found,
        terms.risk,
        failure,
    )


def _closest(training: Records, holdout: Records, synthetic: Records, space: Space) -> Criterion:
    """Distance to the closest record: shown because people ask for it, never decides."""
    random, count = np.random.default_rng(_SEED), min(len(training), len(holdout), _MOST)
    made = _some(synthetic, min(len(synthetic), _MOST), random)
    to_training, to_holdout = (
        nearest_other(made, space, _some(side, count, random)) for side in (training, holdout)
    )
    share = ((to_training < to_holdout) + 0.5 * (to_training == to_holdout)).astype(np.float64)
    half = 1.96 * float(share.std()) / np.sqrt(len(share))
    return Criterion(
        name="dcr",
        title="Synthetic records that lie closer to training than to held-out records",
        value=float(share.mean()),
        low=max(0.0, float(share.mean()) - half),
        high=min(1.0, float(share.mean()) + half),
        threshold=None,
        verdict="information",
        source="records",
        how="Distance to the closest record, ties count half, equal numbers of both; 0.5 is ideal. It never "
        "decides: with a tenth of all synthetic records copied word for word it still reads about 0.55.",
    )


def _some(records: Records, count: int, random: np.random.Generator) -> Records:
    rows = random.permutation(len(records))[:count]
    return records[rows] if isinstance(records, np.ndarray) else records.take(rows)
