"""What the files of a bundle say, held against each other; and epsilon, computed again from the plan.

Everything here reads files whose hashes the signed manifest has. Nothing is unpickled, no network is built.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import (
    ConfigError,
    DamagedGeneratorError,
    DisagreementError,
    PrivacyTargetError,
    RosterError,
    SchemaError,
    UnderstatedError,
)
from ..evaluation.figures import Evaluation
from ..plan import MOST_ATTEMPTS, PLAN_LIMIT, Plan
from ..privacy.accounting import epsilon
from ..schema import SCHEMA_LIMIT, Schema
from ..toml_file import first_problem
from .bundle import Bundle
from .gate_file import GateFile
from .manifest import Manifest

PLAN, SCHEMA, REPORT, GATE, EVALUATION = (
    "plan.json",
    "schema.json",
    "report.json",
    "gate.json",
    "evaluation.json",
)
DESCRIPTION, WEIGHTS, SUMS = "generator.json", "generator.safetensors", "sums.safetensors"
JSON_LIMIT = 1 << 26
"""Bytes of a JSON file that is read whole."""

_WEIGHTS_LIMIT = 1 << 30
_SLACK = 1e-6  # relative: between two versions of the accountant
_ROUNDING = 1e-3  # absolute: epsilon is printed with four decimals, rounded up

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a bundle consistently says. epsilon: recomputed; views: the same in the eyes of others"""

    plan: Plan
    schema: Schema
    gate: GateFile
    evaluation: Evaluation | None
    report: dict[str, Any]
    epsilon: float
    views: dict[str, float]


def check_claims(bundle: Bundle) -> Claims:
    """Raise DisagreementError, RosterError, UnderstatedError or DamagedGeneratorError if they are not true of
    each other; MissingFileError if one that every bundle has is not there.
    """
    manifest = bundle.manifest
    plan = _plan(bundle)
    _check_roster(manifest, plan)
    schema = _schema(bundle)
    report = read_json(bundle, REPORT)
    agree(REPORT, report, repeated(manifest))
    gate, evaluation = _gate(bundle, plan)
    spent, views = _epsilon(manifest, plan, report)
    _check_generator(bundle, schema)
    return Claims(plan, schema, gate, evaluation, report, spent, views)


def _plan(bundle: Bundle) -> Plan:
    raw = bundle.read(PLAN, PLAN_LIMIT)
    try:
        plan = Plan.from_json(raw)
    except ConfigError as error:
        raise DisagreementError(f"{PLAN}: {error.message}") from error
    if plan.to_json() != raw or plan.hash != bundle.manifest.plan:
        raise DisagreementError(f"{PLAN} is not the plan whose hash the manifest has")
    if plan.rehearsal:
        raise DisagreementError("the plan is of a rehearsal, whose records are made up")
    return plan


def _check_roster(manifest: Manifest, plan: Plan) -> None:
    federation = plan.federation
    if manifest.coordinator != federation.coordinator or manifest.sites != federation.sites:
        raise RosterError(
            "coordinator and sites of the manifest are not those of the plan",
            hint="whoever signed this took part in another run",
        )
    if manifest.signatures != plan.release.signatures:
        raise RosterError(
            f"the manifest asks for {manifest.signatures} counter-signatures, "
            f"the plan for {plan.release.signatures}"
        )
    promised = (plan.run, plan.schema_hash, plan.privacy.delta, plan.privacy.unit)
    if (manifest.run, manifest.schema_hash, manifest.delta, manifest.unit) != promised:
        raise DisagreementError("run, schema, delta or unit of the manifest are not those of the plan")


def _schema(bundle: Bundle) -> Schema:
    raw = bundle.read(SCHEMA, SCHEMA_LIMIT)
    try:
        schema = Schema.from_json(raw)
    except SchemaError as error:
        raise DisagreementError(f"{SCHEMA}: {error.message}") from error
    if schema.hash != bundle.manifest.schema_hash or schema.model_dump_json().encode() != raw:
        raise DisagreementError(f"{SCHEMA} is not the schema of the plan")
    return schema


def repeated(manifest: Manifest) -> dict[str, Any]:
    """What report and generators must say, too."""
    return {
        "plan": manifest.plan,
        "epsilon": manifest.epsilon,
        "delta": manifest.delta,
        "unit": manifest.unit,
    }


def _gate(bundle: Bundle, plan: Plan) -> tuple[GateFile, Evaluation | None]:
    manifest = bundle.manifest
    gate = _model(bundle, GATE, GateFile)
    evaluation = _model(bundle, EVALUATION, Evaluation) if bundle.has(EVALUATION) else None
    if evaluation is not None and not evaluation.shareable:
        raise DisagreementError(f"{EVALUATION} says that it was computed from records, and is for no release")
    criteria = () if evaluation is None else evaluation.gate.criteria
    if (gate.verdict, gate.override) != (manifest.gate, manifest.override) or gate.criteria != criteria:
        raise DisagreementError(f"{GATE} does not say what the manifest and {EVALUATION} say")
    if (problem := gate.contradiction(plan.release.gate)) is not None:
        raise DisagreementError(f"{GATE}: {problem}")
    return gate, evaluation


def _epsilon(manifest: Manifest, plan: Plan, report: dict[str, Any]) -> tuple[float, dict[str, float]]:
    """Computed again from the plan's mechanisms and the attempts at them. Raises UnderstatedError."""
    attempts = manifest.attempts
    if not (attempts.keys() <= plan.steps.keys() and all(1 <= n <= MOST_ATTEMPTS for n in attempts.values())):
        raise DisagreementError("attempts at steps that the plan does not have, or too many")
    if report.get("attempts") != attempts:
        raise DisagreementError(f"{REPORT} has other attempts than the manifest")
    try:
        spent = epsilon(plan.charged(attempts, plan.rounds), manifest.delta)
        views = {
            view: epsilon(plan.charged_in_view(view, attempts, plan.rounds), manifest.delta)
            for view in plan.views
        }
    except PrivacyTargetError as error:
        raise UnderstatedError(f"the plan's epsilon: {error.message}") from error
    _check_number("epsilon", manifest.epsilon, spent)
    claimed = report.get("epsilon_views")
    if not isinstance(claimed, dict) or claimed.keys() != views.keys():
        raise DisagreementError(f"{REPORT} has no epsilon for each view")
    for view, value in views.items():
        _check_number(f"epsilon of the view {view!r}", claimed[view], value)
    return spent, views


def _check_number(name: str, claimed: object, found: float) -> None:
    if not isinstance(claimed, int | float) or claimed < found * (1 - _SLACK):
        raise UnderstatedError(
            f"{name}: the bundle says {claimed}, its plan comes to {found:.4f}",
            hint="more was spent than is said; ask the coordinator",
        )
    if claimed > found * (1 + _SLACK) + _ROUNDING:
        raise DisagreementError(f"{name}: the bundle says {claimed}, its plan comes to {found:.4f}")


def _check_generator(bundle: Bundle, schema: Schema) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    description = read_json(bundle, DESCRIPTION)
    raw = bundle.read(WEIGHTS, _WEIGHTS_LIMIT)
    weights = bundle.manifest.file(WEIGHTS)
    assert weights is not None
    agree(DESCRIPTION, description, {**repeated(bundle.manifest), "weights_sha256": weights.sha256})
    if description.get("schema") != schema.model_dump(mode="json"):
        raise DisagreementError(f"{DESCRIPTION} is for another schema")
    if bundle.has(SUMS):
        before = description.get("continuation")
        sums = bundle.manifest.file(SUMS)
        if sums is None or not isinstance(before, dict) or before.get("sums") != sums.sha256:
            raise DisagreementError(f"{SUMS} are not those that {DESCRIPTION} names")
    try:
        if not load(raw):
            raise ValueError
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DamagedGeneratorError(f"{WEIGHTS} cannot be read as safetensors") from error


def agree(name: str, content: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise DisagreementError unless the file's content has all that is expected."""
    wrong = [key for key, value in expected.items() if content.get(key) != value]
    if wrong:
        raise DisagreementError(f"{name} does not agree with the manifest: {', '.join(wrong)}")


def read_json(bundle: Bundle, name: str) -> dict[str, Any]:
    """A file that is a JSON object. Raises DisagreementError if it is none."""
    try:
        content = json.loads(bundle.read(name, JSON_LIMIT))
    except (ValueError, RecursionError) as error:
        raise DisagreementError(f"{name} is no JSON") from error
    if not isinstance(content, dict):
        raise DisagreementError(f"{name} is no JSON object")
    return content


def _model(bundle: Bundle, name: str, kind: type[_Model]) -> _Model:
    try:
        return kind.model_validate_json(bundle.read(name, JSON_LIMIT))
    except ValidationError as error:
        raise DisagreementError(f"{name}: {first_problem(error)}") from error
