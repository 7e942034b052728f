"""What the privacy gate will say about a finished run, before anybody releases it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from common.bundle.claims import EVALUATION
from common.bundle.gate_file import GateFile
from common.evaluation.figures import Criterion, Evaluation, Verdict

from .runs import Run

_SAID: dict[Verdict, str] = {
    "passed": "The privacy gate passed: nothing that was measured is above what the sites agreed to.",
    "failed": "The privacy gate failed: something that was measured is above what the sites agreed to.",
    "inconclusive": "The privacy gate is inconclusive: not enough was measured to say.",
}


@dataclass(frozen=True, slots=True)
class Outlook:
    """verdict: None if the evaluation cannot be read"""

    verdict: Verdict | None
    said: str
    criteria: tuple[Criterion, ...]


def outlook(run: Run) -> Outlook:
    """Of a finished run."""
    path = run.place.release / EVALUATION
    evaluation = None
    if path.exists():
        try:
            evaluation = Evaluation.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return Outlook(None, "The evaluation of this run cannot be read.", ())
    gate = GateFile.of(evaluation, run.plan.release.gate, None)
    return Outlook(gate.verdict, _SAID.get(gate.verdict, gate.verdict), gate.criteria)
