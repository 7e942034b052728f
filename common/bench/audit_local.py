"""Audit of schedule ``local``: one step of DP-SGD at a site, on neighbouring data sets.

The attacker is the coordinator with all other sites. It chooses both networks it sends: the generator, so
that fakes are always the same record, and the discriminator, so that a record's gradient and a fake's both
point along one coordinate, the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..csprng import Csprng
from ..modalities.layout import Layout
from ..modalities.tabular import Codes
from ..models.fakes import Fakes
from ..models.pair import Pair, load, to_vector
from ..phases import Local
from ..plan import Plan
from ..privacy.accounting import calibrate
from ..privacy.mechanism import SampledGaussian
from ..records import Records
from .audit_bounds import errors_at, gaussian_shift
from .audit_settings import DELTA, Finding, base_plan, claimed, small_schema

_RATE = 0.9
"""High, as a record that is not sampled cannot be told; audits of ``every-step`` sample at 1/4 and 1/5."""
_BETWEEN = 1.5
"""Clipping norms: a fake alone moves the weight by one, with a record by two."""
_WEIGHT = 1e-3  # of the output on the hidden unit: small, so that the output's own gradient is nearly all


class _Noting(Records):
    """Broken, first half: remembers how many records a step sampled."""

    last = 0

    def sampled(self, rate: float, random: Csprng) -> Codes:
        codes = super().sampled(rate, random)
        type(self).last = len(codes)
        return codes


def _fixed(fakes: Fakes, batch: int) -> Tensor:
    """As the product does it: a public number of fakes."""
    return fakes(batch)


def _realised(fakes: Fakes, batch: int) -> Tensor:
    """Broken, second half: as many fakes more as records were sampled."""
    return fakes(batch + _Noting.last)


def audit(target: float, trials: int, seed: int, failure: float, *, realised: bool) -> Finding:
    """One build at a plan for ``target``: epsilon of the weakest sampled Gaussian that is not refuted.

    trials: on each of two neighbouring data sets, none and one record; realised: the broken build
    """
    plan = _plan(target)
    assert isinstance(plan.train, Local)
    layout = Layout.of(small_schema())
    record = np.array([layout.sizes]) - 1
    batch = _realised if realised else _fixed
    kind = _Noting if realised else Records
    attack = _Attack(plan, plan.train, layout, seed)
    scores = []
    for codes in (record[:0], record):
        records = kind(codes, np.arange(len(codes) + 1))
        scores.append(np.array([attack.score(records, batch) for _ in range(trials)]))
    errors = errors_at(_BETWEEN, scores[0], scores[1])
    shift = gaussian_shift(*errors.upper(failure), _RATE)
    bound = claimed([_step(1 / shift)]) if shift > 1e-3 else 0.0
    return Finding(
        claimed_epsilon=claimed(plan.mechanisms[-1:]),
        lower_bound=bound,
        delta=DELTA,
        observed={"false_in": errors.false_in, "false_out": errors.false_out, "trials": errors.inside},
    )


def _step(noise: float) -> SampledGaussian:
    return SampledGaussian(noise_multiplier=noise, sample_rate=_RATE, steps=1)


def _plan(target: float) -> Plan:
    """The product's plan with one step a round, calibrated alone."""
    base = base_plan(small_schema(), "local", shares=1)
    assert base.train is not None
    changes = {
        "local_steps": 1,
        "sample_rate": _RATE,
        "noise_multiplier": calibrate(lambda sigma: [_step(sigma)], target, DELTA),
        "expected_batch_size": 1,
        "fakes": 1,
        "discriminator_learning_rate": 1.0,
    }
    return base.model_copy(update={"train": base.train.model_copy(update=changes)})


class _Attack:
    """The networks an attacker sends, and what it reads from the step they come back from."""

    def __init__(self, plan: Plan, train: Local, layout: Layout, seed: int) -> None:
        self._train, self._layout = train, layout
        pair = Pair.new(layout, plan.model, seed)
        for parameter in pair.generator.parameters():
            parameter.data.zero_()
        pair.generator.output.bias.data[_first(layout)] = 100.0
        prior = np.eye(1, len(layout.condition_grid()))[0]
        self._fakes = Fakes(pair.generator, layout, prior, torch.Generator().manual_seed(seed))
        self._discriminator = pair.discriminator
        self._start = _weights(layout, pair.counts[1])
        self._step = import_module("client.training").train_discriminator

    def score(self, records: Records, batch: Callable[[Fakes, int], Tensor]) -> float:
        """How far one step moved the output's weight, in clipping norms: the coordinate of every gradient."""
        load(self._discriminator, self._start)
        fakes = partial(batch, self._fakes)
        self._step(self._discriminator, records, self._layout, self._train, fakes)
        moved = to_vector(self._discriminator)[-2] - self._start[-2]
        return float(moved) / self._train.max_grad_norm


def _first(layout: Layout) -> NDArray[np.int64]:
    """Where the first code of each generated column stands in a one-hot record."""
    return np.concatenate([[0], np.cumsum(layout.generated)[:-1]]).astype(np.int64)


def _weights(layout: Layout, count: int) -> NDArray[np.float32]:
    """One hidden unit: 400 for the record with the last codes, -400 after the leak for a fake."""
    weights = np.zeros(count, np.float32)
    weights[np.cumsum(layout.sizes) - 1] = 100.0
    weights[_first(layout)] = -2000.0 / len(layout.generated)
    weights[-2] = _WEIGHT
    return weights
