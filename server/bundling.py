"""From a finished run to a signed bundle: the gate first, then all files in a new folder, then its name.

Whatever goes wrong, or Ctrl-C, leaves nothing behind; what was there before is left alone.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from common.bundle.archive import write_zip
from common.bundle.contents import FolderContents
from common.bundle.gate_file import GateFile
from common.bundle.manifest import LEAST_REASON, MOST_REASON, Manifest
from common.bundle.paths import MANIFEST, SIGNATURE
from common.bundle.signatures import Signature, path_of
from common.bundle.verification import Verified, verify
from common.durable import sync_folder
from common.errors import BundleExistsError, GateFailedError, OverrideError, StorageError
from common.evaluation.figures import Verdict
from common.events import stage
from common.versions import versions

from .assembly import Further, Parts, assemble, listed, write
from .finished import Finished


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """How a release is to be.

    override: the written reason if the gate did not pass; licence: of the synthetic records and the generator
    public_records: a simulation over records that are public anyway, so its whole report may go out; as_zip:
    one file instead of a folder
    """

    override: str | None = None
    licence: str | None = None
    public_records: bool = False
    as_zip: bool = False


def bundle(run: Finished, out: Path, wanted: Wanted, further: Sequence[Further] = ()) -> Verified:
    """Make the bundle ``out``, signed by the coordinator; in a simulation the sites counter-sign.

    Returns it verified as a reader would, counter-signatures apart.
    Raises GateFailedError, OverrideError, PrivateEvaluationError, BundleExistsError or StorageError; then
    nothing is left.
    """
    if out.exists() or out.is_symlink():
        raise BundleExistsError(f"{out} exists", hint="choose another name, or remove it")
    evaluation = run.evaluation
    report = run.report(wanted.public_records and run.simulated)
    override = _reason(wanted.override)
    gate = GateFile.of(evaluation, run.plan.release.gate, override)
    _check_gate(gate.verdict, override)
    with _made_whole(out) as folder:
        parts = Parts(
            run=run,
            folder=folder / "bundle",
            report=report,
            evaluation=evaluation,
            gate=gate,
            made=f"{datetime.now(UTC):%Y-%m-%d}",
            program=versions()["fedcgan"],
            licence=wanted.licence,
        )
        parts.folder.mkdir()
        assemble(parts, further)
        manifest = _signed(parts)
        if run.sites is not None:
            _let_sites_sign(run.sites, manifest, parts.folder)
        finished = parts.folder
        if wanted.as_zip:
            finished = folder / "bundle.zip"
            write_zip(FolderContents(parts.folder), finished)
        verified = verify(finished, signer=run.identity.public, complete=run.simulated)
        finished.rename(out)
        sync_folder(out.parent)
        stage("bundle", 3, 3, report["epsilon"])
    return verified


def _reason(override: str | None) -> str | None:
    """The written reason in one line. Raises OverrideError if it is none."""
    if override is None:
        return None
    reason = " ".join(override.split())
    if not LEAST_REASON <= len(reason) <= MOST_REASON:
        raise OverrideError(
            f"a reason of {len(reason)} characters; it is printed on the first page of every document",
            hint=f"a sentence of {LEAST_REASON} to {MOST_REASON} characters that others can judge",
        )
    return reason


def _check_gate(verdict: Verdict, override: str | None) -> None:
    if verdict == "passed" and override is not None:
        raise OverrideError("the gate passed, there is nothing to override", hint="leave out --override")
    if verdict != "passed" and override is None:
        said = "failed" if verdict == "failed" else "is inconclusive: not enough was measured to say"
        raise GateFailedError(
            f"the privacy gate {said}; nothing was released",
            hint='look at the evaluation; who answers for it can write --override "reason"',
        )


@contextmanager
def _made_whole(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that is gone afterwards, whatever happens."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise StorageError(
            f"{out} cannot be written: {error.strerror}", hint="choose another --out"
        ) from error
    try:
        yield folder
    except FileNotFoundError as error:  # one of the run's own files: what we write we have made
        raise StorageError(
            f"{error.filename or 'a file of the run'} is missing",
            hint="bring it back from a copy of the run; nothing was released",
        ) from error
    except OSError as error:
        raise StorageError(
            f"{out} cannot be written: {error.strerror or type(error).__name__}",
            hint="free some space or choose another --out; nothing was released",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _signed(parts: Parts) -> Manifest:
    """Write the manifest and the coordinator's signature. It is read again before anybody relies on it."""
    run = parts.run
    manifest = Manifest.of(
        run.plan,
        listed(parts.folder),
        epsilon=parts.report["epsilon"],
        attempts=parts.report["attempts"],
        gate=parts.gate.verdict,
        override=parts.gate.override,
        simulated=run.simulated,
        made=parts.made,
        program=parts.program,
    )
    signature = Signature.make("coordinator", run.plan.federation.coordinator, run.identity, manifest)
    write(parts.folder, {MANIFEST: manifest.to_json(), SIGNATURE: signature.to_json()})
    return manifest


def _let_sites_sign(sites: Path, manifest: Manifest, folder: Path) -> None:
    """Every simulated site looks at the bundle and signs, as a real one would. ``client`` is called by name:
    the two sides never import each other.
    """
    counter_sign: Callable[[Path, Path], Signature] = import_module("client.signing").counter_sign
    for party in manifest.sites:
        made = counter_sign(folder, sites / party.name)
        write(folder, {path_of(party.name): made.to_json()})
