"""The command line of a site's data steward."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from common.terminal import guarded, output, print_result

app = typer.Typer(
    name="fedcgan site",
    help="What a data steward needs: what was spent, under which plan.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _site() -> None:
    """What a data steward needs."""


@app.command()
def budget(
    folder: Annotated[Path, typer.Argument(help="The site's folder.")],
    check: Annotated[
        bool, typer.Option("--verify", help="Also hold the ledger against every answer that left the site.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")] = False,
) -> None:
    """Everything ever spent on this site's records, its chain checked, against the site's own cap."""
    from .site import Site
    from .verification import verify

    site = Site(folder)
    verified = verify(site) if check else None
    policy = site.policy
    entries = site.ledger.entries()
    spent = site.ledger.spent(policy.delta)
    data = {
        "epsilon_spent": spent,
        "epsilon_cap": policy.epsilon_cap,
        "delta": policy.delta,
        "entries": [entry.model_dump(mode="json") for entry in entries],
        "verified": verified and asdict(verified),
    }

    def human() -> None:
        table = Table(box=None, pad_edge=False)
        for heading in ("#", "time", "plan", "step", "mechanism"):
            table.add_column(heading)
        for entry in entries:
            facts = entry.mechanism.model_dump(exclude={"kind"})
            text = entry.mechanism.kind + " " + " ".join(f"{k}={v:.4g}" for k, v in facts.items())
            table.add_row(str(entry.sequence), entry.time, entry.plan[:12], entry.step, text)
        output.print(table)
        if verified:
            output.print(
                f"verified: {verified.charges} charges, {verified.answers} answers; "
                f"{verified.stored} stored contributions, all in the ledger",
                highlight=False,
            )
            for step in verified.unanswered:
                output.print(f"charged, but its answer never left: {step}", highlight=False)
        output.print(f"ε spent {spent:.4f} of {policy.epsilon_cap:g} (δ = {policy.delta:g})", highlight=False)

    print_result(data, as_json, human)


def main() -> int:
    """Run the command line; returns the exit code."""
    return guarded(app)
