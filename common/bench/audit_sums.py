"""Audit of both sums of the measure phase, released together, on neighbouring data sets.

The attacker is the coordinator with ``collusion`` sites: it knows everything but the honest sites' noise and
whether the unit is there. Its score is the inner product of what was released with what the unit adds, the
most powerful test of a Gaussian (Neyman and Pearson).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from ..contributions import NoisySum, encoding
from ..csprng import Csprng
from ..holdout import Split
from ..modalities.grouping import Grouping
from ..plan import COUNT_STEP, MEASURE_STEP, Plan
from ..privacy import integer_noise
from ..privacy.accounting import calibrate
from ..privacy.integer_noise import NoiseGrid
from ..privacy.mechanism import GaussianSum, Mechanism
from ..records import Records
from ..schema import TableSchema
from ..states import MeasureState
from .audit_bounds import Scores, errors_at, gaussian_shift
from .audit_settings import DELTA, Finding, base_plan, claimed, receipts, small_schema

Array = NDArray[np.float64]

_SHARES = 2
_STEPS = (COUNT_STEP, MEASURE_STEP)
_FIELD_BITS = 18
_OTHERS = 20  # records of everybody else at a site
_ROWS = 4  # of the subject that is there or not
_AT_ONCE = 2000  # trials in memory
_product = integer_noise.discrete_gaussian


def _noised(grid: NoiseGrid, values: Array, site: int) -> NDArray[np.int64]:
    """As the product does it."""
    del site
    return grid.to_integers(values, Csprng())


def _too_quiet(grid: NoiseGrid, values: Array, site: int) -> NDArray[np.int64]:
    """Broken: a third of the noise."""

    def third(centres: Array, sigma: float, random: Csprng) -> NDArray[np.int64]:
        return _product(centres, sigma / 3, random)

    with patch.object(integer_noise, "discrete_gaussian", third):
        return _noised(grid, values, site)


def _one_silent(grid: NoiseGrid, values: Array, site: int) -> NDArray[np.int64]:
    """Broken: the first honest site rounds and adds nothing."""

    def rounded(centres: Array, sigma: float, random: Csprng) -> NDArray[np.int64]:
        del sigma, random
        return np.rint(centres).astype(np.int64)

    if site > 0:
        return _noised(grid, values, site)
    with patch.object(integer_noise, "discrete_gaussian", rounded):
        return _noised(grid, values, site)


class _EachRowWhole(Records):
    """Broken: every row weighs 1, however many its subject has."""

    @property
    def weights(self) -> NDArray[np.float64]:
        return np.ones(len(self.rows))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """A build of the measure phase: how a share of noise is added, how rows weigh, and what is charged."""

    share: Callable[[NoiseGrid, Array, int], NDArray[np.int64]] = _noised
    records: type[Records] = Records
    charged: tuple[str, ...] = _STEPS


SOUND = Sums()
NOISE_DIVIDED_BY_3 = Sums(share=_too_quiet)
ONE_SITE_WITHOUT_NOISE = Sums(share=_one_silent)
HISTOGRAM_NOT_CHARGED = Sums(charged=(MEASURE_STEP,))
ROWS_NOT_TOGETHER = Sums(records=_EachRowWhole)


def audit(build: Sums, target: float, trials: int, seed: int, failure: float, *, subject: bool) -> Finding:
    """One build at a plan for ``target``: epsilon of the weakest Gaussian that the errors do not refute.

    trials: on each of two neighbouring data sets; subject: the unit is one with several rows
    Both sums are one Gaussian with 1 / noise**2 added up (Dong, Roth and Su 2022, corollary 3.3), so the
    bound on its shift is exact for the composition.
    """
    schema = small_schema(subject=subject)
    plan = _plan(schema, target)
    without, inside = _exact(build, schema, plan, seed, subject=subject)
    directions = _directions(schema, plan, without, inside)
    scores = [_scores(build, schema, plan, sites, directions, trials) for sites in (without, inside)]
    middle = float(np.mean([_exact_score(sites, directions) for sites in (without, inside)]))
    errors = errors_at(middle, scores[0], scores[1])
    shift = gaussian_shift(*errors.upper(failure))
    bound = claimed([GaussianSum(noise_multiplier=1 / shift)]) if shift > 1e-3 else 0.0
    mechanisms: list[Mechanism] = [plan.steps[step] for step in build.charged]
    return Finding(
        claimed_epsilon=claimed(mechanisms),
        lower_bound=bound,
        delta=DELTA,
        observed={"false_in": errors.false_in, "false_out": errors.false_out, "trials": errors.inside},
    )


def _plan(schema: TableSchema, target: float) -> Plan:
    """Both sums with the same noise, together ``target``."""
    base = base_plan(schema, "moments", _SHARES)
    noise = calibrate(lambda sigma: [GaussianSum(noise_multiplier=sigma)] * 2, target, DELTA)
    changes = {"noise_multiplier": noise, "field_bits": _FIELD_BITS}
    assert base.count is not None
    return base.model_copy(
        update={
            "count": base.count.model_copy(update=changes),
            "measure": base.measure.model_copy(update=changes),
        }
    )


Exact = dict[tuple[str, int], tuple[NoiseGrid, Array]]
"""What each honest site hands to the noise in each step."""


def _exact(build: Sums, schema: TableSchema, plan: Plan, seed: int, *, subject: bool) -> tuple[Exact, Exact]:
    """Without and with the unit, at the first honest site: the product's own steps, run and watched once.

    The values are a function of the records; the noise is drawn anew in every trial.
    """
    random = np.random.default_rng(seed)
    draw = [np.stack([random.integers(0, n, _OTHERS) for n in schema.sizes], axis=1) for _ in range(_SHARES)]
    unit = np.tile(np.array(schema.sizes) - 1, (_ROWS if subject else 1, 1))
    states = {
        COUNT_STEP: b"",
        MEASURE_STEP: MeasureState(grouping=Grouping.of_itself(schema)).to_bytes(),
    }
    task = import_module("client.contribution").task
    product = NoiseGrid.to_integers
    seen: list[tuple[NoiseGrid, Array]] = []

    def watched(grid: NoiseGrid, values: Array, random: Csprng) -> NDArray[np.int64]:
        seen.append((grid, values))
        return product(grid, values, random)

    worlds: list[Exact] = []
    with receipts(plan) as receipt, patch.object(NoiseGrid, "to_integers", watched):
        for extra in (unit[:0], unit):
            world: Exact = {}
            for site, others in enumerate(draw):
                codes = np.concatenate([others, extra]) if site == 0 else others
                whose = np.minimum(np.arange(len(codes)), _OTHERS)
                records = build.records(*_fields(Records.of(codes, whose)))
                for step, state in states.items():
                    task(step, plan).run(Split.trained_on(records), schema, plan, state, receipt(step))
                    world[step, site] = seen.pop()
            worlds.append(world)
    return worlds[0], worlds[1]


def _fields(records: Records) -> tuple[Any, ...]:
    return records.rows, records.starts


def _directions(schema: TableSchema, plan: Plan, without: Exact, inside: Exact) -> dict[str, Array]:
    """What the unit adds to each sum, over the variance of its noise as planned."""
    directions = {}
    for step in _STEPS:
        noisy = encoding(step, schema, plan)
        assert isinstance(noisy, NoisySum)
        added = sum(inside[step, site][1] - without[step, site][1] for site in range(_SHARES))
        directions[step] = np.asarray(added) / noisy.noise_multiplier**2
    return directions


def _exact_score(sites: Exact, directions: dict[str, Array]) -> float:
    """The score without any noise: what an attacker expects who knows all but the noise."""
    return float(sum(values @ directions[step] for (step, _), (_, values) in sites.items()))


def _scores(
    build: Sums, schema: TableSchema, plan: Plan, sites: Exact, directions: dict[str, Array], trials: int
) -> Scores:
    """Log-likelihood ratio of each trial, up to a constant: float64[trials]."""
    scores = np.zeros(trials)
    for step, direction in directions.items():
        travels = encoding(step, schema, plan)
        for start in range(0, trials, _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, trials))
            total = np.zeros((part.stop - start, len(direction)), np.int64)
            for site in range(_SHARES):
                grid, values = sites[step, site]
                total += build.share(grid, np.broadcast_to(values, total.shape), site)
            scores[part] += travels.sum_to_values(total, _SHARES) @ direction
    return scores
