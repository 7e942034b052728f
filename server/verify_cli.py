"""``fedcgan verify``: whether a release is what it says, for anybody, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.errors import UsageError
from common.terminal import print_result


def verify(
    bundle: Annotated[Path, typer.Argument(help="A release: a folder, or a .zip.")],
    signer: Annotated[
        str | None,
        typer.Option(help="The coordinator's fingerprint, or its public key; anybody else is refused."),
    ] = None,
    federation: Annotated[
        Path | None, typer.Option(help="Our own federation's folder: it must be our signature.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Check a release: hashes, signatures, roster, epsilon; say what is proven and what is not."""
    from common.bundle.shown import facts, show
    from common.bundle.verification import verify as check

    if federation is not None:
        from .federation_cli import open_federation

        if signer is not None:
            raise UsageError("give --signer or --federation, not both")
        signer = open_federation(federation).identity.public
    verified = check(bundle, signer=signer)
    print_result(facts(verified), as_json, lambda: show(verified))
