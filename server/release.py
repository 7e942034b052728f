"""What leaves a finished run: the generator, and synthetic records drawn from it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from common.errors import ProtocolError
from common.generator import ReleasedGenerator
from common.modalities.grouping import Grouping
from common.modalities.layout import Layout
from common.models.pair import Pair, load
from common.plan import Plan
from common.privacy.accounting import epsilon, rounded_up
from common.schema import Schema

from .checkpoint import Checkpoint
from .moments import Moments


def released_generator(
    plan: Plan, schema: Schema, state: Checkpoint, moments: Moments, grouping: Grouping
) -> ReleasedGenerator:
    """The averaged generator of a finished run, with the released prior of its conditions."""
    if state.average is None or state.rounds_done < plan.rounds:
        raise ProtocolError("the run is not finished", hint="resume it first")
    pair = Pair.new(Layout.of(schema), plan.model, plan.seed)
    load(pair.generator, state.average)
    facts: dict[str, Any] = {
        "epsilon": rounded_up(epsilon(plan.charged(state.attempts, plan.rounds), plan.privacy.delta)),
        "delta": plan.privacy.delta,
        "unit": plan.privacy.unit,
        "plan": plan.hash,
        "records_estimated": round(moments.total),
    }
    return ReleasedGenerator(schema, plan.model, pair.generator, moments.prior, grouping, facts)


_FEWEST_RECORDS = 10_000  # so that figures are the generator's, not those of a small sample


def synthetic_records(generator: ReleasedGenerator, seed: int) -> pd.DataFrame:
    """As many records as the released (noisy) count says there are units, and enough to judge them by."""
    return generator.sample(max(_FEWEST_RECORDS, generator.facts["records_estimated"]), {}, seed)
