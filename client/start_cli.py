"""``fedcgan site start``, ``dry-run``, ``vault``, ``courier``: a site at work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.terminal import output, print_result

SameUser = Annotated[
    bool,
    typer.Option(
        "--same-user", help="Let the courier have the vault's rights: for tests, not for real records."
    ),
]
Programs = Annotated[
    Path | None,
    typer.Option("--courier-programs", help="Where flower-supernode is, if in an environment of its own."),
]


def start(
    folder: Annotated[Path, typer.Argument(help="The site's folder.")],
    same_user: SameUser = False,
    programs: Programs = None,
) -> None:
    """Run the vault, and a SuperNode that carries messages to it, until it is ended."""
    from .start import start as keep

    keep(folder, same_user, programs)


def dry_run(
    folder: Annotated[Path, typer.Argument(help="The site's folder.")],
    same_user: SameUser = False,
    programs: Programs = None,
    wait: Annotated[int, typer.Option(min=10, help="Seconds.")] = 900,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """The whole protocol with the real coordinator, on made-up records: none is read, nothing charged."""
    from dataclasses import asdict

    from .start import dry_run as rehearse

    done = rehearse(folder, same_user, wait, programs)
    text = f"rehearsed plan {done.plan[:12]} with the coordinator: {', '.join(done.steps)}; all is ready"
    print_result(asdict(done), as_json, lambda: output.print(text, highlight=False, soft_wrap=True))


def vault(
    folder: Annotated[Path, typer.Argument(help="The site's folder.")],
    same_user: SameUser = False,
) -> None:
    """Run the vault alone: where services or containers keep the two apart."""
    from .start import serve_vault

    serve_vault(folder, same_user)


def courier(folder: Annotated[Path, typer.Argument(help="The courier's folder, NAME.courier.")]) -> None:
    """Run the SuperNode alone, as a user who cannot read the site's folder."""
    from .start import keep_courier

    keep_courier(folder)
