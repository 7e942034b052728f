"""A site's own report on a release: everything exact, on its own records, for its steward alone.

It is what a steward reads before the site counter-signs. Nothing of it leaves the site.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from common.arrays import Arrays
from common.bundle.bundle import Bundle
from common.bundle.claims import DESCRIPTION, JSON_LIMIT, REPORT
from common.crypto.secret_file import read_secret
from common.durable import write_whole
from common.errors import DisagreementError, TooFewRecordsError
from common.evaluation.evaluate import evaluate
from common.evaluation.figures import Evaluation
from common.evaluation.judge import judged
from common.evidence.content import ReportContent
from common.evidence.meaning import meanings
from common.evidence.page import render
from common.evidence.reference import Reference, TwoWay
from common.modalities.array_files import read_arrays
from common.modalities.array_layout import ArrayLayout
from common.modalities.grouping import Grouping
from common.modalities.tabular import Codes, decode, encode
from common.plan import Plan
from common.records import Records
from common.schema import ArraySchema, Schema, TableSchema
from common.states import EvaluateState
from common.tables import read_table

from .data import check_sides, load_records
from .signing import Signable
from .vault import SHOWN, SIDES

_RECORDS_LIMIT = 1 << 33  # bytes of synthetic records
_CSV, _NPZ = "synthetic/records.csv", "synthetic/records.npz"


@dataclass(frozen=True, slots=True)
class PrivateReport:
    """evaluation: exact; page: HTML that shows real records"""

    evaluation: Evaluation
    page: str


def private_report(checked: Signable, scratch: Path) -> PrivateReport:
    """Evaluate a verified bundle on this site's records. scratch: a folder of the site's own, for a moment.

    Raises DataError's kinds, RecordsChangedError if others are held out than in the run, TooFewRecordsError
    if the site holds nobody out, and DisagreementError if the bundle's records are not those that the site
    was shown in the run.
    """
    site, claims = checked.site, checked.verified.claims
    plan, schema = claims.plan, claims.schema
    allowed = site.policy.allow_identified
    split = load_records(site.records, schema, plan, site.holdout_key, allow_identified=allowed)
    if plan.release.evaluate is not None:
        check_sides(split, site.run_folder(plan.hash) / SIDES)
    if not split.held_out.units:
        raise TooFewRecordsError("this site holds nobody out, so there is nothing to compare with")
    frame = _synthetic(checked.verified.bundle, schema, scratch)
    made = _rows(frame, schema)
    judge = _check_shown(site.run_folder(plan.hash) / SHOWN, plan, schema, made)
    scores = None
    if judge is not None:
        sides = (split.training.rows, split.held_out.rows)
        first, second = (judged(rows, schema, plan, judge) for rows in sides)
        scores = (first, second)
    asked = plan.release.evaluate
    with threadpool_limits(1, "openmp"):  # trees of a few thousand records: threads would wait for each other
        found = evaluate(
            _told(split.training.rows, schema),
            _told(split.held_out.rows, schema),
            _told(made, schema),
            schema,
            asked.task if asked else None,
            plan.release.gate,
            subjects=(_units(split.training), _units(split.held_out)),
            discriminator_scores=scores,
            seed=plan.seed,
        )
    report: dict[str, Any] = json.loads(checked.verified.bundle.read(REPORT, JSON_LIMIT))
    content = ReportContent(
        run=report,
        plan=plan,
        schema=schema,
        evaluation=found,
        meaning=meanings(plan, report.get("attempts", {})),
        override=checked.verified.manifest.override,
        synthetic=frame,
        reference=_reference(split.held_out.rows, schema, checked.verified.bundle),
        private=True,
        simulated=checked.verified.manifest.simulated,
    )
    return PrivateReport(found, render(content))


def _synthetic(bundle: Bundle, schema: Schema, scratch: Path) -> pd.DataFrame | Arrays:
    """The records of a bundle; nobody's, so that they need no subject."""
    nobodys = schema.nobodys
    if isinstance(nobodys, TableSchema):
        path = scratch / "records.csv"
        write_whole(path, lambda part: part.write_bytes(bundle.read(_CSV, _RECORDS_LIMIT)))
        return read_table(path, nobodys)
    assert isinstance(nobodys, ArraySchema)
    path = scratch / "records.npz"
    write_whole(path, lambda part: part.write_bytes(bundle.read(_NPZ, _RECORDS_LIMIT)))
    return read_arrays(path, nobodys)


def _rows(synthetic: pd.DataFrame | Arrays, schema: Schema) -> NDArray[Any]:
    """As ``Records`` holds them."""
    if isinstance(synthetic, Arrays):
        assert isinstance(schema, ArraySchema)
        return ArrayLayout.of(schema).to_rows(synthetic)
    assert isinstance(schema, TableSchema)
    return encode(synthetic, schema)


def _told(rows: NDArray[Any], schema: Schema) -> Codes | Arrays:
    """As an evaluation takes them."""
    if isinstance(schema, ArraySchema):
        return ArrayLayout.of(schema).to_arrays(rows)
    return rows.astype(np.int64)


def _units(records: Records) -> NDArray[np.int64]:
    """Whose each record is, as a number."""
    return np.repeat(np.arange(records.units), np.diff(records.starts))


def _check_shown(path: Path, plan: Plan, schema: Schema, made: NDArray[Any]) -> Any:
    """The discriminator that the site was shown with the records, if it took part in the evaluation.

    Raises DisagreementError if the bundle begins with other records.
    """
    if plan.release.evaluate is None or not path.exists():
        return None
    count = plan.release.evaluate.records
    shown = EvaluateState.from_bytes(read_secret(path), schema, count, judged=plan.rounds > 0)
    if not np.array_equal(made[:count], shown.rows):
        raise DisagreementError(
            "the synthetic records of the bundle are not those that this site evaluated",
            hint="ask the coordinator where they come from; do not sign",
        )
    return shown.judge


def _reference(rows: NDArray[Any], schema: Schema, bundle: Bundle) -> Reference:
    """This site's held-out records, in the groups that the run made of codes."""
    if isinstance(schema, ArraySchema):
        return Reference("records", records=ArrayLayout.of(schema).to_arrays(rows))
    assert isinstance(schema, TableSchema)
    groups = json.loads(bundle.read(DESCRIPTION, JSON_LIMIT))["groups"]
    grouping = Grouping.from_wire(np.array(groups, np.int64), schema)
    two_way = TwoWay.of_codes(grouping.to_groups(rows, schema), list(schema.groups))
    shown = decode(rows.astype(np.int64), schema, np.random.default_rng(0))
    return Reference("records", grouping, two_way, shown)
