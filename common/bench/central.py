"""The same recipe on the pooled records, without a federation: what a federation is measured against."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pandas as pd

from ..contributions import histograms, pairs
from ..csprng import Csprng
from ..modalities.layout import Layout
from ..modalities.tabular import encode
from ..models.pair import Pair, to_vector
from ..plan import Plan
from ..records import Records
from ..schema import TableSchema


def synthesise(frame: pd.DataFrame, schema: TableSchema, plan: Plan, least: int = 0) -> pd.DataFrame:
    """Synthetic records from pooled ones: the noise multipliers of ``plan``, one Gaussian draw for each sum.

    A trusted curator would do this; the adversarial phase is left out. least: records to draw
    """
    rounds, random = import_module("server.released"), Csprng()
    unit = pd.factorize(frame[schema.subject])[0] if schema.subject else None
    records = Records.of(encode(frame, schema), unit)
    state = import_module("server.checkpoint").Checkpoint(path=Path("unused"), plan=plan.hash)
    singles, phi = histograms(schema), pairs(schema, plan)
    assert plan.count is not None
    noise = plan.count.noise_multiplier * random.gaussian(singles.count)
    state.counts = singles.sum(records.rows, records.weights) + noise
    grouping = rounds.released_grouping(plan, schema, state)
    codes = Layout.of(schema).to_model(grouping.to_groups(records.rows, schema))
    noise = plan.measure.noise_multiplier * random.gaussian(phi.count)
    state.moments = phi.sum(codes, records.weights) + noise
    moments = rounds.released_moments(plan, schema, state)
    pair = Pair.new(phi.layout, plan.model, plan.seed)
    import_module("server.fit").fit(pair.generator, moments, phi, plan.measure, plan.privacy.epsilon)
    state.average, state.rounds_done = to_vector(pair.generator), plan.rounds
    release = import_module("server.release")
    generator = release.released_generator(plan, schema, state)
    drawn: pd.DataFrame = release.synthetic_records(generator, plan.seed, least)
    return drawn
