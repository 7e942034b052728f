"""Fit a generator of images or signals to the released sum of features: post-processing."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from common import events
from common.modalities.array_features import ArrayFeatures
from common.models.array_generator import ArrayGenerator
from common.models.array_loss import ArrayMomentLoss
from common.phases import ArrayMeasure

from .array_start import start
from .descent import Descent, Stage

_AVERAGE = 0.99  # decay of the average over steps, which is what is kept
_TAIL = 0.1  # of the steps, at the end, that see many more generated records: less noise, the same bias
_TAIL_BATCH, _TAIL_RATE, _TAIL_AVERAGE = 5, 0.6, 0.97  # times the batch and rate of the others; decay
_WORTH_THREADS = 100_000
_REPORTED, _WRITTEN = 50, 250  # steps between two events, and between two files to take up again


def fit(
    generator: ArrayGenerator,
    total: NDArray[np.float64],
    features: ArrayFeatures,
    measure: ArrayMeasure,
    epsilon: float,
    seed: int,
    *,
    kept: Path | None = None,
    mark: str = "",
) -> float:
    """Start at Gaussians, descend the loss on the released sum by Adam, keep the running average; in place.

    kept: a file in which an interrupted fit is found again, if it bears ``mark``; it is gone in the end
    On a GPU where there is one. Where a loss or a gradient is not finite, the fit goes back to the last good
    copy with half the learning rate. Returns the last loss.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    random = torch.Generator().manual_seed(seed)
    with _cores(features.classes * measure.fit_batch * features.layout.values):
        start(generator, features, total, random)
        generator.to(device)
        loss = ArrayMomentLoss(features, total, measure.fit_batch, random)
        descent = Descent(generator, random)
        if kept is not None:
            descent.load(kept, mark)
        value = _descend(descent, loss, features, measure, epsilon, kept, mark)
        generator.to("cpu")
    if kept is not None:
        kept.unlink(missing_ok=True)
    return value


def _descend(
    descent: Descent,
    loss: ArrayMomentLoss,
    features: ArrayFeatures,
    measure: ArrayMeasure,
    epsilon: float,
    kept: Path | None,
    mark: str,
) -> float:
    """All stages from where the descent is. Returns the last loss."""
    value, stages = math.nan, _stages(measure)
    while descent.stage < len(stages):
        stage = stages[descent.stage]
        loss.resize(stage.batch)
        before = sum(earlier.steps for earlier in stages[: descent.stage])
        while descent.step < stage.steps:
            at = before + descent.step
            loss.ceiling = _ceiling(features, measure, at / measure.fit_steps)
            if at % _REPORTED == 0:
                events.stage("fit", at, measure.fit_steps, epsilon)
                events.figure("fit_loss", at, value)
            value = descent.take(stage, loss)
            if kept is not None and (at + 1) % _WRITTEN == 0:
                descent.save(kept, mark)
        descent.next_stage()
    events.stage("fit", measure.fit_steps, measure.fit_steps, epsilon)
    return value


def _stages(measure: ArrayMeasure) -> list[Stage]:
    tail = round(_TAIL * measure.fit_steps)
    first = Stage(measure.fit_steps - tail, measure.fit_batch, measure.fit_learning_rate, _AVERAGE)
    rate = _TAIL_RATE * measure.fit_learning_rate
    return [first, Stage(tail, _TAIL_BATCH * measure.fit_batch, rate, _TAIL_AVERAGE)]


@contextmanager
def _cores(values: int) -> Iterator[None]:
    """All of them where a step generates enough values for threads to gain, as nothing else in a simulation.

    As many as OMP_NUM_THREADS says, if it is set: on cores that others use, threads only wait.
    """
    before, wanted = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS", "")
    if values > _WORTH_THREADS:
        torch.set_num_threads((int(wanted) if wanted.isdigit() else os.cpu_count()) or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _ceiling(features: ArrayFeatures, measure: ArrayMeasure, done: float) -> float | None:
    """The degree up to which coefficients count now; none once the curriculum is over."""
    if done >= measure.curriculum:
        return None
    highest = float(features.low.degree.max()) + 1
    return 2 + (highest - 2) * done / measure.curriculum
