"""The documents of a release for people who must decide: model card, datasheet, DP statement, DPIA input.

Texts are templates; every number in them comes from plan, report, gate or evaluation. A name that a template
asks for and nobody gives is an error, not a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..bundle.gate_file import GateFile
from ..columns import CategoryColumn
from ..evaluation.figures import Evaluation
from ..plan import Plan
from ..privacy.accounting import rounded_up
from ..privacy.meaning import most_true_positives
from ..privacy.mechanism import GaussianSum, Mechanism
from ..schema import ArraySchema, ImageSchema, Schema, SignalSchema, TableSchema

_TEMPLATES = Path(__file__).parent / "templates"
NAMES = ("MODEL_CARD.md", "DATASHEET.md", "DP_STATEMENT.md", "DPIA_INPUT.md")
FALSE_POSITIVES = (0.001, 0.01, 0.1)
"""Rates of false alarms for which the statement says what an attacker can reach at most."""

_SPECIAL = frozenset("\\`*_{}[]<>|#~&")


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What documents are made from.

    report: as in report.json; epsilon: what was spent; records: synthetic ones; files: of synthetic records,
    by path; made: day, ISO; program: version; licence: a name, none if nobody said
    """

    plan: Plan
    schema: Schema
    report: Mapping[str, Any]
    gate: GateFile
    evaluation: Evaluation | None
    records: int
    files: tuple[str, ...]
    simulated: bool
    made: str
    program: str
    licence: str | None


def documents(release: Release) -> dict[str, str]:
    """The text of each document by its file name. Raises jinja2.UndefinedError for a fault of ours."""
    environment = _environment()
    content = _content(release)
    return {name: environment.get_template(f"{name}.j2").render(content) for name in NAMES}


def escaped(text: str) -> str:
    """Somebody else's words in Markdown: one line, no markup, no HTML."""
    shown = (c if c.isprintable() else " " for c in text)
    return "".join("\\" + c if c in _SPECIAL else c for c in shown)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown; what is filled in is escaped by ``finalize``
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = _number
    environment.filters["epsilon"] = lambda value: f"{value:.10g}"  # as it is: never rounded down
    environment.filters["percent"] = lambda value: f"{rounded_up(value) * 100:.4g} %"
    return environment


def _finalize(value: Any) -> Any:
    """Everything that is filled in is plain text, unless a filter has made it safe."""
    return escaped(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4g}"


def _content(release: Release) -> dict[str, Any]:
    plan, schema, evaluation = release.plan, release.schema, release.evaluation
    attempts = release.report["attempts"]
    charged = plan.charged(attempts, plan.rounds)
    return {
        "plan": plan,
        "schema": schema,
        "report": release.report,
        "gate": release.gate,
        "evaluation": evaluation,
        "figures": [] if evaluation is None else [*evaluation.fidelity, *evaluation.utility],
        "coverage": [] if evaluation is None else list(evaluation.coverage),
        "subgroups": [] if evaluation is None else list(evaluation.subgroups),
        "records": release.records,
        "files": release.files,
        "simulated": release.simulated,
        "made": release.made,
        "program": release.program,
        "licence": release.licence,
        "kind": kind(schema),
        "columns": columns(schema),
        "conditions": [(c.name, [str(v) for v in c.categories]) for c in schema.conditions],
        "mechanisms": mechanisms(plan, attempts),
        "views": release.report["epsilon_views"],
        "bounds": list(zip(FALSE_POSITIVES, most_true_positives(charged, FALSE_POSITIVES), strict=True)),
        "noun": plan.privacy.unit.split()[-1],
    }


def kind(schema: Schema) -> str:
    """Of what records there are, in a few words."""
    if isinstance(schema, ImageSchema):
        return f"images of {schema.size} x {schema.size} pixels, {schema.channels} channel(s)"
    if isinstance(schema, SignalSchema):
        return f"signals of {schema.length} samples at {schema.sampling_rate:g} Hz"
    assert isinstance(schema, TableSchema)
    return f"a table of {len(schema.columns)} columns"


def columns(schema: Schema) -> list[tuple[str, str, str]]:
    """Name, what values are allowed, and what it is, of every column or channel."""
    if isinstance(schema, TableSchema):
        found = []
        for column in schema.columns:
            if isinstance(column, CategoryColumn):
                allowed = f"{len(column.categories)} categories"
            else:
                allowed = column.reach + ("" if column.kind == "date" else f", {column.decimals} decimals")
            found.append(
                (column.name, allowed + (", may be missing" if column.missing else ""), column.description)
            )
        return found
    assert isinstance(schema, ArraySchema)
    label = (schema.label.name, f"{schema.classes} categories", schema.label.description)
    if isinstance(schema, SignalSchema):
        return [
            label,
            *((c.name, f"{c.bounds[0]:g} to {c.bounds[1]:g} {c.unit}".strip(), "") for c in schema.channels),
        ]
    return [label]


def mechanisms(plan: Plan, attempts: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """Steps, mechanism and noise of everything that was charged in this run; equal steps in one line."""
    lines: dict[tuple[str, str], list[int]] = {}
    for step in plan.steps:
        name = "train" if step.startswith("train-") else step
        for mechanism in plan.charges(step, attempts.get(step, 1)):
            lines.setdefault((name, _said(mechanism)), [0])[0] += 1
    return [
        (name, said, "once" if times == 1 else f"{times} times") for (name, said), (times,) in lines.items()
    ]


def _said(mechanism: Mechanism) -> str:
    if isinstance(mechanism, GaussianSum):
        return f"Gaussian mechanism on one sum, noise multiplier {mechanism.noise_multiplier:.4g}"
    return (
        f"{mechanism.steps} step(s) of Poisson-sampled Gaussian, rate {mechanism.sample_rate:g}, "
        f"noise multiplier {mechanism.noise_multiplier:.4g}"
    )
