"""``fedcgan report``: a finished run as a page for people, and the same numbers as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from common.errors import ConfigError
from common.terminal import output, print_result


def report(
    run: Annotated[Path, typer.Argument(help="OUT of a simulation, or the folder of a federation's run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page; JSON is written beside it.")] = Path(
        "report.html"
    ),
    private: Annotated[
        bool, typer.Option("--private", help="Show figures that were computed on real records, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """One page of evidence about a finished run: privacy, quality, pictures. To be shared, unless private."""
    if out.suffix != ".html":
        raise ConfigError(f"{out.name}: the report is a page", hint="-o NAME.html")
    from common.durable import write_whole
    from common.evidence.page import render
    from common.evidence.twin import to_json

    from .report_page import content_of

    content = content_of(run, private=private)
    page, twin = render(content), json.dumps(to_json(content), indent=1, ensure_ascii=False)
    beside = out.with_suffix(".evidence.json")
    write_whole(beside, lambda path: path.write_text(twin, "utf-8"))
    write_whole(out, lambda path: path.write_text(page, "utf-8"))
    facts = {"page": str(out), "json": str(beside), "private": private, "plan": content.plan.hash}
    words = "private: it stays here" if private else "to be shared"
    print_result(facts, as_json, lambda: output.print(f"{out}, {words}", highlight=False, soft_wrap=True))
