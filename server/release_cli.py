"""``fedcgan release RUN``: a run as a signed bundle; ``release countersign``: the sites' signatures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.errors import ConfigError
from common.terminal import guarded, output, print_result

from .federation_cli import Json, open_federation

if TYPE_CHECKING:
    from common.bundle.verification import Verified

COUNTERSIGN = "countersign"

app = typer.Typer(
    name="fedcgan release",
    epilog="Then: fedcgan release countersign BUNDLE SIGNATURE... adds what sites sent back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
countersign_app = typer.Typer(
    name="fedcgan release countersign",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def release(
    run: Annotated[
        str, typer.Argument(help="Output of a simulation; or a run's folder, or the hash of its plan.")
    ],
    federation: Annotated[Path, typer.Option(help="Of a hash: the federation's folder.")] = Path(),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The bundle; RUN.bundle if nothing is said.")
    ] = None,
    override: Annotated[
        str | None,
        typer.Option(help="Why it is released although the gate did not pass. Printed in every document."),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="Of generator and records, e.g. CC-BY-4.0.")
    ] = None,
    public_records: Annotated[
        bool,
        typer.Option(
            "--public-records",
            help="Of a simulation: the records are public anyway, the whole report may go out.",
        ),
    ] = False,
    as_zip: Annotated[bool, typer.Option("--zip", help="One file instead of a folder.")] = False,
    as_json: Json = False,
) -> None:
    """Make the release of a finished run: gate, files, manifest, signature."""
    from .bundle_pages import page, portable_generator
    from .bundling import Wanted, bundle
    from .finished import finished
    from .progress import shown
    from .run_folder import RunFolder

    folder = Path(run)
    if not folder.exists():
        if not (federation / "federation.toml").exists():
            raise ConfigError(
                f"there is no run {run}: no such folder, and no federation in {federation.absolute()}",
                hint="OUT of a simulation; or the hash of a plan, with --federation FOLDER",
            )
        folder = RunFolder.find(open_federation(federation), run).folder
    found = finished(folder)
    suffix = ".bundle.zip" if as_zip else ".bundle"
    path = out or folder.with_name(folder.name + suffix)
    wanted = Wanted(override=override, licence=licence, public_records=public_records, as_zip=as_zip)
    with shown(found.plan.privacy.epsilon, quiet=as_json):
        verified = bundle(found, path, wanted, (portable_generator, page))
    print_result(_facts(path, verified), as_json, lambda: _print(path, verified))


@countersign_app.command()
def countersign(
    bundle: Annotated[Path, typer.Argument(help="The release, a folder or a .zip.")],
    signatures: Annotated[list[Path], typer.Argument(help="What sites sent: NAME.signature.json.")],
    as_json: Json = False,
) -> None:
    """Add the sites' counter-signatures, each one checked; all of them or none."""
    from .countersigning import add

    verified = add(bundle, signatures)
    print_result(_facts(bundle, verified), as_json, lambda: _print(bundle, verified))


def _facts(path: Path, verified: Verified) -> dict[str, Any]:
    from common.bundle.shown import facts

    return {"bundle": str(path), **facts(verified)}


def _print(path: Path, verified: Verified) -> None:
    from common.bundle.shown import line
    from common.bundle.words import attention

    manifest = verified.manifest
    line(f"{path}: {len(manifest.files)} files, manifest {manifest.hash}")
    line(f"ε {manifest.epsilon:g}, δ {manifest.delta:g} ({manifest.unit}); privacy gate: {manifest.gate}")
    line(f"fingerprint of the signature   {verified.fingerprint}")
    for sentence in attention(verified):
        output.print("[bold yellow]attention[/]", end="  ")
        line(sentence)
    if len(verified.signed) < manifest.signatures:
        line(f"next   send it to the sites; there: fedcgan site sign {path.name} --site FOLDER")
        line(f"then   fedcgan release countersign {path} NAME.signature.json ...")
    else:
        line(f"next   fedcgan verify {path} --signer {manifest.coordinator.identity}")


def main() -> int:
    """Run the command line; returns the exit code."""
    if sys.argv[1:2] == [COUNTERSIGN]:
        del sys.argv[1]
        return guarded(countersign_app)
    return guarded(app)
