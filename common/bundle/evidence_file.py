"""The numbers of a bundle's page, if it has one: that budget and verdict are those that were checked."""

from __future__ import annotations

from typing import Any

from ..errors import DisagreementError
from ..evidence.words import NOT_EVALUATED
from .bundle import Bundle
from .claims import Claims, agree, read_json

EVIDENCE = "report.evidence.json"


def check_evidence(bundle: Bundle, claims: Claims) -> bool:
    """Whether there are any. Raises DisagreementError."""
    if not bundle.has(EVIDENCE):
        return False
    content = read_json(bundle, EVIDENCE)
    manifest, privacy, gate = bundle.manifest, claims.plan.privacy, claims.gate
    budget = {
        "epsilon": manifest.epsilon,
        "delta": manifest.delta,
        "unit": manifest.unit,
        "target": privacy.epsilon,
        "here": claims.report.get("epsilon_here"),
    }
    agree(EVIDENCE, _part(content, "budget"), budget)
    agree(EVIDENCE, _part(content, "gate"), {"verdict": gate.verdict if gate.criteria else NOT_EVALUATED})
    if _views(content["budget"]) != claims.report["epsilon_views"]:
        raise DisagreementError(f"{EVIDENCE} has another epsilon for a view than the report")
    return True


def _part(content: dict[str, Any], name: str) -> dict[str, Any]:
    part = content.get(name)
    if not isinstance(part, dict):
        raise DisagreementError(f"{EVIDENCE} has no {name}")
    return part


def _views(budget: dict[str, Any]) -> dict[Any, Any] | None:
    """Epsilon in each view; None of what cannot be read."""
    try:
        return {one["view"]: one["epsilon"] for one in budget["observers"]}
    except (KeyError, TypeError):
        return None
