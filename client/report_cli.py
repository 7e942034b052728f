"""``fedcgan site report``: what a release is worth and gives away, on this site's own records. No network."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from common.terminal import output, print_result


def report(
    bundle: Annotated[
        Path, typer.Argument(help="The release that the coordinator sent: a folder or a .zip.")
    ],
    site: Annotated[Path, typer.Option(help="The site's folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page; in the site's folder if nothing is said.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Evaluate a release on this site's own records, exactly. The page shows real records: it stays here."""
    from common.crypto.secret_file import write_secret
    from common.evidence.words import VERDICTS

    from .own_site import site_in
    from .private_report import private_report
    from .signing import signable

    checked = signable(bundle, site_in(site))
    with tempfile.TemporaryDirectory(dir=checked.site.folder) as scratch:
        made = private_report(checked, Path(scratch))
    path = out or checked.site.folder / "reports" / f"{checked.verified.manifest.hash[:12]}.html"
    write_secret(path, made.page.encode())
    gate = made.evaluation.gate
    data = {"page": str(path), "gate": gate.verdict, "evaluation": made.evaluation.model_dump(mode="json")}

    def human() -> None:
        for one in gate.criteria:
            value = "-" if one.value is None else f"{one.value:.4f}"
            limit = "" if one.threshold is None or one.value is None else f" (at most {one.threshold:g})"
            output.print(f"{one.verdict:13} {one.name:20} {value}{limit}", highlight=False)
        meaning = VERDICTS[gate.verdict][1]
        output.print(f"the gate on this site's records: {gate.verdict}. {meaning}", highlight=False)
        output.print("It is for you, and stops no release; the plan's own gate does that.", highlight=False)
        output.print(f"{path}, mode 0600: it shows real records", highlight=False, soft_wrap=True)

    print_result(data, as_json, human)
