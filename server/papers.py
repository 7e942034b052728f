"""What goes with synthetic records: exports of the schema, cards and statements, the list of software."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from common.bundle.croissant import croissant
from common.bundle.data_package import data_package
from common.bundle.manifest import File
from common.bundle.sdv_metadata import sdv_metadata
from common.evidence.documents import Release, documents
from common.evidence.sbom import sbom
from common.schema import TableSchema

if TYPE_CHECKING:
    from .assembly import Parts

_VERSION = "1.0.0"  # of the records: a release is never changed, a new one is another


def papers(parts: Parts, synthetic: Sequence[File], records: int) -> dict[str, bytes]:
    """Content by file name. synthetic: the files of records; records: how many they hold"""
    run = parts.run
    release = Release(
        plan=run.plan,
        schema=run.schema,
        report=parts.report,
        gate=parts.gate,
        evaluation=parts.evaluation,
        records=records,
        files=tuple(file.path for file in synthetic),
        simulated=run.simulated,
        made=parts.made,
        program=parts.program,
        licence=parts.licence,
    )
    cite = f"Synthetic records of {run.schema.name}, plan {run.plan.hash}, {parts.made}"
    about: dict[str, Any] = {
        "version": _VERSION,
        "made": parts.made,
        "licence": parts.licence,
    }
    contents = {
        "datapackage.json": data_package(run.schema, synthetic, **about),
        "croissant.json": croissant(
            run.schema, synthetic, **about, cite=cite, responsible=_responsible(release)
        ),
        "sbom.cdx.json": sbom(parts.program, parts.made, run.plan.hash),
    }
    if isinstance(run.schema, TableSchema):
        contents["sdv_metadata.json"] = sdv_metadata(run.schema)
    exported = {name: json.dumps(content, indent=2).encode() + b"\n" for name, content in contents.items()}
    return {**exported, **{name: text.encode() for name, text in documents(release).items()}}


def _responsible(release: Release) -> dict[str, str]:
    """Fields of Croissant's vocabulary for responsible AI."""
    plan, gate = release.plan, release.gate
    return {
        "dataCollection": f"Drawn from a generator that {len(plan.federation.sites)} sites trained together. "
        "Each site keeps its records; sums of bounded values left it, encrypted and with noise.",
        "dataUseCases": "Development, testing, teaching, planning. Results that matter are to be confirmed "
        "on real records.",
        "dataLimitations": "Noise hides rare values and weak relations. No decision about a person, no "
        "evidence without confirmation on real records.",
        "dataBiases": "Of the sites' records, as far as it was learnt; small groups are learnt worst.",
        "personalSensitiveInformation": f"No record is a person's. Differential privacy: epsilon "
        f"{release.report['epsilon']:g}, delta {plan.privacy.delta:g}, {plan.privacy.unit}; privacy gate: "
        f"{gate.verdict}. See DP_STATEMENT.md for what this does not cover.",
    }
