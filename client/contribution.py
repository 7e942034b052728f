"""What a site computes for a step: charged first, noised, and returned only as a private update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contributions import MeasureEncoding, TrainEncoding
from common.crypto.packing import Packing
from common.csprng import Csprng
from common.errors import MalformedMessageError
from common.modalities.layout import Layout
from common.modalities.tabular import Codes
from common.plan import MEASURE_STEP, MOST_ATTEMPTS, Plan, attempted, train_step
from common.privacy.ledger import Receipt
from common.privacy.mechanism import Mechanism
from common.privacy.update import PrivateUpdate
from common.schema import Schema

from .training import train_locally


@dataclass(frozen=True, slots=True)
class Task:
    """One step of a plan, as a site sees it: what it costs and how it is computed."""

    mechanism: Mechanism
    encode: Callable[[Schema, Plan], MeasureEncoding | TrainEncoding]
    run: Callable[[Codes, Schema, Plan, bytes, Receipt], PrivateUpdate]

    def encoding(self, schema: Schema, plan: Plan) -> tuple[NDArray[np.float64], Packing]:
        """Public bounds and packing of the step's vector."""
        encoding = self.encode(schema, plan)
        return encoding.limit, encoding.packing


def task(step: str, plan: Plan) -> Task:
    """The task of a step of this plan, or of another attempt at it. Raises MalformedMessageError."""
    planned, number = attempted(step)
    if number > MOST_ATTEMPTS:
        raise MalformedMessageError(f"a step is tried {MOST_ATTEMPTS} times at most")
    if planned == MEASURE_STEP:
        return Task(plan.measure.mechanism, MeasureEncoding, measure)
    if planned in {train_step(number) for number in range(1, plan.train.rounds + 1)}:
        return Task(plan.train.mechanism, TrainEncoding, train_locally)
    raise MalformedMessageError(f"the plan has no step {step!r}")


def measure(codes: Codes, schema: Schema, plan: Plan, state: bytes, receipt: Receipt) -> PrivateUpdate:
    """The sum of the bounded feature map over all records, plus Gaussian noise.

    Guarantees: adding or removing one record moves the sum by at most ``features.l2_sensitivity``
    (here by exactly that); noise of noise_multiplier times it is drawn from a CSPRNG.
    """
    del state
    features = MeasureEncoding(schema, plan).features
    total = features.sum(Layout.of(schema).to_model(codes))
    noise = Csprng().gaussian(features.count)
    scale = plan.measure.noise_multiplier * features.l2_sensitivity
    return PrivateUpdate(total + scale * noise, receipt)
