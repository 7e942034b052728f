"""``fedcgan site join``: answer a coordinator's kit. Needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.terminal import output, print_result


def join(
    kit: Annotated[Path, typer.Argument(help="What the coordinator sent: NAME.kit.zip.")],
    records: Annotated[Path, typer.Option(help="The site's records: a file, or a folder of files.")],
    epsilon_cap: Annotated[
        float, typer.Option("--epsilon-cap", help="The most that all runs together may ever spend on them.")
    ],
    delta: Annotated[float, typer.Option(help="The delta that this epsilon goes with, e.g. 1e-5.")],
    parent: Annotated[Path, typer.Option("--in", help="The site's folder NAME is made in there.")] = Path(),
    courier_user: Annotated[
        str | None,
        typer.Option("--courier-user", help="Another user, who talks to the network (root only)."),
    ] = None,
    vault_user: Annotated[
        str | None,
        typer.Option("--vault-user", help="The user who keeps records and keys (root only; else: you)."),
    ] = None,
    allow_identified: Annotated[
        bool, typer.Option("--allow-identified", help="Take DICOM and EDF files that carry an identity.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Join a federation: make this site's folder and keys, and the reply that goes back."""
    from .membership import Membership
    from .membership import join as join_federation

    joined = join_federation(
        kit,
        parent,
        records=records,
        epsilon_cap=epsilon_cap,
        delta=delta,
        allow_identified=allow_identified,
        courier_user=courier_user,
        vault_user=vault_user,
    )
    membership = Membership.load(joined.folder)
    data = {
        "folder": str(joined.folder),
        "courier": str(joined.courier),
        "reply": str(joined.reply_file),
        "site": membership.site,
        "federation": membership.federation,
        "address": membership.address,
        "schema": membership.schema_hash,
        "identity": joined.reply.identity,
        "fingerprint": joined.fingerprint,
    }

    def human() -> None:
        output.print(
            f"{joined.folder}: {membership.site} of {membership.federation}", highlight=False, soft_wrap=True
        )
        output.print(f"fingerprint   {joined.fingerprint}", highlight=False, soft_wrap=True)
        output.print(f"1. send {joined.reply_file} back to the coordinator", highlight=False, soft_wrap=True)
        output.print(
            "2. compare the fingerprint by telephone, on a number you know", highlight=False, soft_wrap=True
        )
        output.print(f"3. fedcgan site check {joined.folder}", highlight=False, soft_wrap=True)

    print_result(data, as_json, human)
