"""What leaves a finished run: the generator, and synthetic records drawn from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from common import array_output
from common.array_generator import ReleasedArrays
from common.arrays import Arrays
from common.contributions import layout_of
from common.durable import write_whole
from common.earlier import FACT, fact
from common.errors import ProtocolError
from common.errors.sampling import typed
from common.generator import ReleasedGenerator
from common.modalities.array_layout import ArrayLayout
from common.modalities.tabular import encode
from common.models.array_generator import ArrayGenerator
from common.models.pair import Pair, load
from common.models.tabular import Generator
from common.phases import ArrayModel, Model
from common.plan import Plan
from common.privacy.accounting import epsilon, rounded_up
from common.release_files import PRIOR_NOISE, save_sums
from common.released import Released
from common.report import Costs, build
from common.sampler.provenance import write_sidecar
from common.schema import ArraySchema, Schema, TableSchema
from common.tables import write_table

from .checkpoint import Checkpoint
from .evaluated import evaluated
from .measured import TableMeasured, measured
from .prior_noise import prior_noise
from .released import released_noise, released_sums

EVALUATION = "evaluation.json"

_FEWEST_RECORDS = 10_000  # so that figures are the generator's, not those of a small sample
_MOST_VALUES = 1 << 28  # of all synthetic images or signals together


def released_generator(plan: Plan, schema: Schema, state: Checkpoint) -> Released:
    """The averaged generator of a finished run, with the released prior of its conditions.

    It names the file of ``sums_file``, which lies beside it.
    """
    if state.average is None or state.rounds_done < plan.rounds:
        raise ProtocolError("the run is not finished", hint="resume it first")
    found = measured(plan, schema, state)
    generator = Pair.new(layout_of(schema), plan.model, plan.seed).generator
    load(generator, state.average)
    noise = released_noise(plan, state)
    facts: dict[str, Any] = {
        "epsilon": rounded_up(epsilon(plan.charged(state.attempts, plan.rounds), plan.privacy.delta)),
        "delta": plan.privacy.delta,
        "unit": plan.privacy.unit,
        "plan": plan.hash,
        "records_estimated": round(found.total),
        PRIOR_NOISE: prior_noise(plan, schema, noise[1]),
        FACT: fact(plan, state.attempts, hashlib.sha256(sums_file(plan, schema, state)).hexdigest(), noise),
    }
    if isinstance(schema, ArraySchema):
        assert isinstance(plan.model, ArrayModel)
        assert isinstance(generator, ArrayGenerator)
        return ReleasedArrays(schema, plan.model, generator, found.prior, facts)
    assert isinstance(schema, TableSchema)
    assert isinstance(plan.model, Model)
    assert isinstance(generator, Generator)
    assert isinstance(found, TableMeasured)
    return ReleasedGenerator(schema, plan.model, generator, found.prior, found.grouping, facts)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A released generator, and the synthetic records that lie beside it."""

    generator: Released
    records: pd.DataFrame | Arrays


def write_release(plan: Plan, schema: Schema, state: Checkpoint, out: Path) -> Drawn:
    """Synthetic records, released sums and the generator of a finished run, in ``out``."""
    from .onnx_export import NAME, export_onnx  # ONNX and its runtime, needed once a run

    generator = released_generator(plan, schema, state)
    out.mkdir(parents=True, exist_ok=True)
    records: pd.DataFrame | Arrays
    if isinstance(generator, ReleasedGenerator):
        records = synthetic_records(generator, plan.seed, _shown(plan))
        write_table(records, out / "synthetic.csv")
        with typed():
            write_sidecar(out / "synthetic.csv", generator.facts)
    else:
        records = synthetic_arrays(generator, plan.seed, _shown(plan))
        array_output.write_samples(generator, records, out / "synthetic.npz")
        array_output.write_gallery(generator, out / "gallery.png", plan.seed)
    save_sums(out, sums_file(plan, schema, state))
    found = evaluated(plan, schema, state, records)
    if found is not None:
        write_whole(out / EVALUATION, lambda path: path.write_text(found.model_dump_json(indent=2), "utf-8"))
    generator.save(out)
    export_onnx(generator, out / NAME)
    return Drawn(generator, records)


def shown_records(plan: Plan, schema: Schema, state: Checkpoint) -> NDArray[Any]:
    """The first of the synthetic records of a release, as many as its evaluation shows to sites.

    Returns rows as ``Records`` holds them.
    """
    assert plan.release.evaluate is not None
    generator, count = released_generator(plan, schema, state), plan.release.evaluate.records
    if isinstance(generator, ReleasedGenerator):
        drawn = synthetic_records(generator, plan.seed, count)
        return encode(drawn.iloc[:count], generator.schema)
    arrays = synthetic_arrays(generator, plan.seed, count).take(np.arange(count))
    return ArrayLayout.of(generator.schema).to_rows(arrays)


def costs_of(state: Checkpoint, wall_seconds: float) -> Costs:
    """What a run took, as its coordinator saw it."""
    return Costs(
        wall_seconds=wall_seconds,
        seconds=state.seconds,
        encryption_seconds=None,
        encryption_share=None,
        traffic=state.traffic,
        upload_ratio_float32=state.contribution_bytes / (4 * state.values_sent),
        attempts=state.attempts,
    )


def write_report(
    plan: Plan, state: Checkpoint, costs: Costs, quality: dict[str, Any], out: Path
) -> dict[str, Any]:
    """The report of a run, in ``out``. quality: where somebody could look at real records"""
    report = {**build(plan, quality, costs), "trouble": [asdict(one) for one in state.trouble]}
    text = json.dumps(report, indent=2)
    write_whole(out / "report.json", lambda path: path.write_text(text, "utf-8"))
    return report


def sums_file(plan: Plan, schema: Schema, state: Checkpoint) -> bytes:
    """The noisy sums of a finished run and of those it continues, to which a later run can add its own."""
    return released_sums(plan, schema, state).to_bytes()


def _shown(plan: Plan) -> int:
    return plan.release.evaluate.records if plan.release.evaluate else 0


def synthetic_records(generator: ReleasedGenerator, seed: int, least: int = 0) -> pd.DataFrame:
    """As many records as the released (noisy) count says there are units, and enough to judge them by."""
    return generator.sample(max(_FEWEST_RECORDS, least, generator.facts["records_estimated"]), {}, seed)


def synthetic_arrays(generator: ReleasedArrays, seed: int, least: int = 0) -> Arrays:
    """The same of images or signals, as far as they are not too many to hold."""
    wanted = max(_FEWEST_RECORDS, least, generator.facts["records_estimated"])
    values = generator.schema.shape[0] * generator.schema.shape[-1] ** (len(generator.schema.shape) - 1)
    return generator.sample(min(wanted, _MOST_VALUES // values), {}, seed)
