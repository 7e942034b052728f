"""``fedcgan site sign``: a site checks a release, is told what it would sign, and signs. No network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import UsageError
from common.terminal import output, print_result

if TYPE_CHECKING:
    from .signing import Signable


def sign(
    bundle: Annotated[
        Path, typer.Argument(help="The release that the coordinator sent: a folder or a .zip.")
    ],
    site: Annotated[Path, typer.Option(help="The site's folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the signature goes (NAME.signature.json).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Counter-sign a release of a run that this site took part in, after checking all of it."""
    from common.bundle.shown import facts, show
    from common.durable import check_free

    from .own_site import site_in
    from .signing import sign as signed
    from .signing import signable

    own = site_in(site)
    path = out or Path(f"{own.name}.signature.json")
    check_free(path)  # before anybody has read and said yes for nothing
    checked = signable(bundle, own)
    if not as_json:
        show(checked.verified)
        _say_what(checked)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise UsageError("nothing was signed: somebody must read this and say yes", hint="add --yes")
        typer.confirm("Sign it?", abort=True)
    signature = signed(checked)
    signature.write(path)
    data = {**facts(checked.verified), "signature": str(path), "charged": checked.charged}

    def human() -> None:
        output.print(f"signed: send {path} back to the coordinator", highlight=False, soft_wrap=True)
        output.print("the keys of this run are removed here: it is over", highlight=False)

    print_result(data, as_json, human)


def _say_what(checked: Signable) -> None:
    from common.bundle.shown import line

    manifest = checked.verified.manifest
    output.print("\n[bold]what this site would sign[/]")
    verdict = f"The privacy gate: {manifest.gate}."
    if manifest.override is not None:
        verdict += f" It would be released all the same, for this written reason: {manifest.override}"
    for sentence in (
        f"All {len(manifest.files)} files of manifest {manifest.hash}, as a release of run {manifest.run}, "
        f"plan {manifest.plan[:12]}, which this site approved and took part in.",
        verdict,
        f"ε {manifest.epsilon:g} at δ {manifest.delta:g} ({manifest.unit}). This site's ledger was charged "
        f"{checked.charged:.4f} for it; agreed to was {checked.agreed:.4f} at most.",
        "The keys of this run are removed here when it is signed, as nothing of it is to be opened any more.",
        "It says that this site agrees to the release. It does not say that what the documents tell of other "
        "sites is true.",
    ):
        line("  " + sentence)
