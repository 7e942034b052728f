"""A finished run as the content of its page, from the files that lie in its folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.earlier import Earlier, Noise
from common.errors import ConfigError, StorageError
from common.evaluation.figures import Evaluation
from common.evidence.content import ReportContent
from common.evidence.meaning import meanings
from common.evidence.reference import Reference
from common.modalities.array_files import read_arrays
from common.phases import Measure
from common.plan import Plan
from common.release_files import load_sums
from common.schema import ArraySchema, Schema, TableSchema
from common.tables import read_table

from .continued import Sums
from .released_shares import two_way
from .run_folder import RunFolder, folder_of_simulation

_LIMIT = 1 << 26  # bytes of a JSON file


def content_of(run: Path, *, private: bool, override: str | None = None) -> ReportContent:
    """What the page of a finished run is made from.

    run: OUT of a simulation, with OUT.run/ beside it, or the folder of a federation's run
    Raises ConfigError if it is neither, StorageError if a file is missing or damaged, NotShareableError if
    an evaluation that is private lies there and the page is not.
    """
    release, kept = _folders(run)
    plan, schema = kept.plan, kept.schema
    earlier = Earlier.load(release)
    if earlier.plan != plan.hash:
        raise StorageError(f"the release in {release} is of another plan", hint="get the release again")
    report = _json(release / "report.json")
    if not isinstance(report, dict) or report.get("plan") != plan.hash:
        raise StorageError(f"{release / 'report.json'} is of another run", hint="let the run finish first")
    return ReportContent(
        run=report,
        plan=plan,
        schema=schema,
        evaluation=_evaluation(release / "evaluation.json"),
        meaning=meanings(plan, report.get("attempts", {})),
        override=override,
        synthetic=_synthetic(release, schema),
        reference=reference_of(
            plan,
            schema,
            load_sums(release, earlier.continues.sums),
            (earlier.continues.count_noise, earlier.continues.measure_noise),
        ),
        private=private,
        simulated=not kept.deployed,
    )


def reference_of(plan: Plan, schema: Schema, raw: bytes, noise: Noise) -> Reference | None:
    """What released sums say about real records; None for images and signals, whose sums are no picture.

    Of pairs nothing where not all are measured: the page would show the others as if they were.

    raw: the file of released sums; noise: in these. Raises StorageError.
    """
    if not isinstance(schema, TableSchema):
        return None
    sums = Sums.from_bytes(raw, schema, plan)
    every = isinstance(plan.measure, Measure) and plan.measure.neighbours is None
    return Reference(
        "released material", sums.grouping, two_way(sums, plan, schema, noise) if every else None
    )


def _folders(run: Path) -> tuple[Path, RunFolder]:
    """Where the release lies, and plan and schema."""
    if (run / "conditions.json").exists():
        return run / "release", RunFolder(run)
    if (folder_of_simulation(run) / "plan.json").exists():
        return run, RunFolder(folder_of_simulation(run))
    raise ConfigError(
        f"there is no run in {run}", hint="OUT of a simulation, OUT.run/ beside it, or a run of a federation"
    )


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _LIMIT:
            raise ValueError(f"more than {_LIMIT} bytes")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path} is missing or damaged", hint="let the run finish first") from error


def _evaluation(path: Path) -> Evaluation | None:
    if not path.exists():
        return None
    try:
        return Evaluation.model_validate(_json(path))
    except ValidationError as error:
        raise StorageError(f"{path} is no evaluation of this version", hint="evaluate again") from error


def _synthetic(release: Path, schema: Schema) -> Any:
    """The records that were released; nobody's, so that they need no subject."""
    if isinstance(schema, ArraySchema):
        return read_arrays(release / "synthetic.npz", schema.nobodys)
    assert isinstance(schema, TableSchema)
    return read_table(release / "synthetic.csv", schema.nobodys)
