"""The command line of a site's data steward."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from common.terminal import guarded, output, print_result

from . import steward_cli
from .dashboard_cli import dashboard
from .join_cli import join
from .report_cli import report
from .sign_cli import sign
from .start_cli import courier, dry_run, start, vault

if TYPE_CHECKING:
    from common.privacy.entries import Charge, Outcome

app = typer.Typer(
    name="fedcgan site",
    help="What a data steward needs: plans to approve, what was spent, what left, whether the site is ready.",
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
    from .verification import unlisted, verify

    site = Site(folder)
    verified = verify(site) if check else None
    without_line = unlisted(site) if check else []
    policy = site.policy
    entries, outcomes = site.ledger.entries(), site.ledger.outcomes()
    unit = entries[0].unit if entries else None  # of all: a ledger takes no other
    spent = site.ledger.spent(policy.delta)
    data = {
        "epsilon_spent": spent,
        "epsilon_cap": policy.epsilon_cap,
        "delta": policy.delta,
        "unit": unit,
        "entries": [entry.model_dump(mode="json") for entry in entries],
        "outcomes": [outcome.model_dump(mode="json") for outcome in outcomes],
        "verified": verified and asdict(verified),
        "unlisted": without_line,
    }

    def human() -> None:
        table = Table(box=None, pad_edge=False)
        for heading in ("#", "time", "plan", "step", "what"):
            table.add_column(heading)
        lines: list[Charge | Outcome] = [*entries, *outcomes]
        for line in sorted(lines, key=lambda line: line.sequence):
            table.add_row(str(line.sequence), line.time, line.plan[:12], line.step or "(run)", _said(line))
        output.print(table)
        if verified:
            output.print(
                f"verified: {verified.charges} charges, {verified.answers} answers; "
                f"{verified.stored} stored contributions, all in the ledger",
                highlight=False,
            )
            for step in verified.unanswered:
                output.print(f"charged, but its answer never left: {step}", highlight=False)
            steward_cli.tell_unlisted(without_line)
        about = f"δ = {policy.delta:g}" + (f", {unit}" if unit else "")
        output.print(f"ε spent {spent:.4f} of {policy.epsilon_cap:g} ({about})", highlight=False)

    print_result(data, as_json, human)


def _said(line: Charge | Outcome) -> str:
    """What a line of the ledger says, in a few words."""
    if line.kind == "outcome":
        return line.outcome + (f": {line.reason}" if line.reason else "")
    facts = line.mechanism.model_dump(exclude={"kind"})
    return line.mechanism.kind + " " + " ".join(f"{name}={value:.4g}" for name, value in facts.items())


steward_cli.register(app)


for command in (join, start, dry_run, vault, courier, report, sign, dashboard):
    app.command()(command)


def main() -> int:
    """Run the command line; returns the exit code."""
    return guarded(app)
