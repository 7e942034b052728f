"""The page's numbers as JSON. The page is made from this, so that every number on it can be found here."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..arrays import Arrays
from ..evaluation.figures import Evaluation
from ..plan import Plan
from ..schema import ArraySchema, TableSchema
from . import words
from .comparison import array_comparison, table_comparison
from .content import ReportContent
from .groups import plain
from .spending import BEFORE, spent

EVIDENCE_VERSION = 1

_SENTENCE = 2000  # characters of a text somebody wrote


def to_json(content: ReportContent) -> dict[str, Any]:
    """JSON-ready content; keys are described in docs/report.md."""
    found: dict[str, Any] = _readable(_collected(content))
    return found


def _readable(value: Any) -> Any:
    """The same without what is no text: whoever wrote a name, a reason or a file."""
    if isinstance(value, str):
        return plain(value, _SENTENCE) if value else ""
    if isinstance(value, dict):
        return {_readable(key): _readable(one) for key, one in value.items()}
    return [_readable(one) for one in value] if isinstance(value, list | tuple) else value


def _collected(content: ReportContent) -> dict[str, Any]:
    schema, run, plan = content.schema, content.run, content.plan
    return {
        "evidence_version": EVIDENCE_VERSION,
        "private": content.private,
        "simulated": content.simulated,
        "schema": {
            "name": schema.name,
            "description": schema.description,
            "kind": words.kind(schema),
            "hash": schema.hash,
        },
        "synthetic": len(content.synthetic),
        "budget": _budget(content),
        "meaning": [one._asdict() for one in content.meaning],
        "gate": _gate(content.evaluation),
        "override": content.override,
        "spending": [
            one._asdict() for one in spent(plan, run.get("attempts", {})) if one.epsilon or one.step != BEFORE
        ],
        **_measured(content.evaluation),
        "task": words.task(plan.release.evaluate.task) if plan.release.evaluate else "",
        "comparison": _comparison(content),
        "reference": content.reference and content.reference.origin,
        "federation": _federation(plan),
        "costs": {name: run.get(name) for name in _COSTS},
        "trouble": [dict(one) for one in run.get("trouble", ())],
        "versions": dict(run.get("versions", {})),
        "not_covered": words.not_covered(plan.privacy.unit),
    }


_COSTS = (
    "wall_seconds",
    "seconds",
    "encryption_seconds",
    "encryption_share",
    "bytes",
    "upload_ratio_float32",
)


def _budget(content: ReportContent) -> dict[str, Any]:
    run, plan = content.run, content.plan
    return {
        "epsilon": run["epsilon"],
        "here": run["epsilon_here"],
        "delta": plan.privacy.delta,
        "target": plan.privacy.epsilon,
        "unit": plan.privacy.unit,
        "whom": words.whom(plan.privacy.unit),
        "observers": [
            {"view": view, "epsilon": value, "who": words.OBSERVERS.get(view, view)}
            for view, value in run["epsilon_views"].items()
        ],
    }


def _gate(evaluation: Evaluation | None) -> dict[str, Any]:
    """Verdict and criteria. An evaluation without criteria has tested nothing."""
    criteria = evaluation.gate.criteria if evaluation is not None else ()
    verdict = evaluation.gate.verdict if evaluation is not None and criteria else words.NOT_EVALUATED
    word, meaning = words.VERDICTS[verdict]
    return {
        "verdict": verdict,
        "word": word,
        "meaning": " ".join(filter(None, (meaning, words.least_copies(criteria)))),
        "criteria": [one.model_dump(mode="json") for one in criteria],
    }


def _measured(evaluation: Evaluation | None) -> dict[str, Any]:
    parts = ("fidelity", "utility", "subgroups", "coverage")
    if evaluation is None:
        return {**{part: [] for part in parts}, "records": {}}
    return {
        **{part: [one.model_dump(mode="json") for one in getattr(evaluation, part)] for part in parts},
        "records": dict(evaluation.records),
    }


def _comparison(content: ReportContent) -> dict[str, Any] | None:
    schema, synthetic, reference = content.schema, content.synthetic, content.reference
    if isinstance(schema, ArraySchema):
        assert isinstance(synthetic, Arrays)
        return array_comparison(synthetic, schema, reference)
    if reference is None or reference.grouping is None:
        return None
    assert isinstance(schema, TableSchema)
    assert isinstance(synthetic, pd.DataFrame)
    return table_comparison(synthetic, schema, reference)


def _federation(plan: Plan) -> dict[str, Any]:
    federation = plan.federation
    return {
        "run": plan.run,
        "plan": plan.hash,
        "coordinator": federation.coordinator.name,
        "sites": federation.names,
        "key_holders": federation.key_holders,
        "threshold": federation.threshold,
        "min_contributors": federation.min_contributors,
        "collusion": federation.collusion,
        "noise_shares": federation.shares,
        "schedule": plan.train.schedule if plan.train else "moments",
        "rounds": plan.rounds,
        "continues": plan.continues.runs[-1].plan if plan.continues else None,
        "rehearsal": plan.rehearsal,
    }
