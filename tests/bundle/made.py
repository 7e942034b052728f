"""A small real release, and what a forger with some of its keys could make of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from common.bundle.manifest import Manifest
from common.bundle.paths import MANIFEST, SIGNATURE, SIGNATURES
from common.bundle.signatures import Signature, path_of
from common.crypto.identity import Identity
from common.evaluation.figures import Criterion, Evaluation, Figure, Gate
from common.plan import Party
from server.assembly import listed
from tests import toy

REASON = "The records are made up, nobody is in them."


def evaluation(plan, *, verdict="passed", shareable=True) -> Evaluation:
    """As a site's evaluation would say it; one criterion for each threshold of the plan."""
    source = "secure sum" if shareable else "records"
    criteria = tuple(
        Criterion(
            name=name,
            title=name.replace("_", " "),
            value=threshold / 2 if verdict == "passed" else threshold * 1.5,
            low=0.0,
            high=threshold * 0.9,
            threshold=threshold,
            verdict=verdict,
            source=source,
            how="counted",
        )
        for name, threshold in plan.release.gate.model_dump().items()
    )
    figure = Figure(
        name="tvd1",
        title="1-way distance",
        value=0.02,
        low=0.01,
        high=0.03,
        reference=0.01,
        better="lower",
        source=source,
        how="mean over columns",
    )
    return Evaluation(shareable=shareable, fidelity=(figure,), gate=Gate(criteria=criteria))


def write_evaluation(folder: Path, found: Evaluation) -> None:
    (folder / "evaluation.json").write_text(found.model_dump_json())


CANARY_PATIENT, CANARY_COST = 86_753_098_675_309, 49_871.53
"""Of one record of the simulation: a subject and a value that nobody else has."""


def with_canary() -> pd.DataFrame:
    """The simulation's records."""
    frame = toy.records()
    frame.loc[[2, 3], "patient"] = CANARY_PATIENT
    frame.loc[3, ["cost", "diagnosis"]] = [CANARY_COST, "severe"]
    return frame


def key_of(run: Path, name: str = "coordinator") -> Identity:
    """The real key of a party of the simulation whose run folder this is."""
    folder = run / name if name == "coordinator" else run / "sites" / name
    return Identity.load_or_create(folder / "identity.key")


def manifest_of(folder: Path) -> Manifest:
    return Manifest.from_json((folder / MANIFEST).read_bytes())


def rehashed(folder: Path, **changes: object) -> Manifest:
    """Write the manifest that fits the files as they are now; no signature is renewed."""
    before = json.loads((folder / MANIFEST).read_bytes())
    aside = (MANIFEST, SIGNATURE)
    files = [
        file.model_dump()
        for file in listed(folder)
        if file.path not in aside and not file.path.startswith(SIGNATURES)
    ]
    manifest = Manifest.model_validate({**before, "files": files, **changes})
    (folder / MANIFEST).write_bytes(manifest.to_json())
    return manifest


def resigned(folder: Path, run: Path, **changes: object) -> Manifest:
    """What a coordinator could sign who lies, with all sites in on it: every signature is genuine."""
    manifest = rehashed(folder, **changes)
    party = manifest.coordinator
    coordinator = Signature.make("coordinator", party, key_of(run), manifest)
    (folder / SIGNATURE).write_bytes(coordinator.to_json())
    for site in manifest.sites:
        sign_site(folder, manifest, site, key_of(run, site.name))
    return manifest


def sign_site(folder: Path, manifest: Manifest, site: Party, identity: Identity) -> None:
    (folder / SIGNATURES).mkdir(exist_ok=True)
    made = Signature.make("site", site, identity, manifest)
    (folder / path_of(site.name)).write_bytes(made.to_json())


def changed_json(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to, symlinks=True))
