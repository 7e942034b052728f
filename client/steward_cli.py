"""The data steward's commands: plans and answers to them, what left, and the site's own standing."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from common.errors import ConfigError, LedgerError, UsageError, exit_code_of
from common.plain_text import plain, size
from common.terminal import output, print_failure, print_result

from .own_site import site_in

if TYPE_CHECKING:
    from .outbox import Sent
    from .plan_reading import Reading
    from .proposals import Proposal
    from .site import Site

Folder = Annotated[Path, typer.Argument(help="The site's folder.")]
Hash = Annotated[str, typer.Argument(metavar="HASH", help="A plan's hash, or its first 8 digits.")]
Reason = Annotated[str, typer.Option(help="Why. For this site's own log, never sent.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")]

_SHOWN = 5  # steps in a sentence


def plans(
    folder: Folder,
    known: Annotated[
        str | None, typer.Argument(metavar="[HASH]", help="One plan, in plain words.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """The plans of this site and where they stand; with HASH one of them, and what it changes."""
    from .proposals import Proposals

    site = site_in(folder)
    if known is not None:
        _show_plan(site, known, as_json)
        return
    entries = Proposals(site.folder).every()

    def human() -> None:
        table = _table("plan", "stands", "since", "run", "ε", "sites", "reason")
        for entry in entries:
            table.add_row(
                entry.hash[:12], entry.standing, entry.time, *_facts(entry), escape(plain(entry.reason))
            )
        output.print(table if entries else "no plans yet")

    print_result({"plans": [_entry(entry) for entry in entries]}, as_json, human)


def _facts(entry: Proposal) -> tuple[str, str, str]:
    if entry.plan is None:
        return ("(damaged, or of another version)", "", "")
    rehearsal = " (rehearsal)" if entry.plan.rehearsal else ""
    sites = str(len(entry.plan.federation.sites))
    return escape(plain(entry.plan.run)) + rehearsal, f"{entry.plan.privacy.epsilon:g}", sites


def _entry(entry: Proposal) -> dict[str, Any]:
    facts: dict[str, Any] = {"hash": entry.hash, "standing": entry.standing, "time": entry.time}
    facts["reason"] = entry.reason
    if entry.plan is not None:
        facts["run"], facts["rehearsal"] = entry.plan.run, entry.plan.rehearsal
        facts["epsilon"], facts["sites"] = entry.plan.privacy.epsilon, entry.plan.federation.names
    return facts


def _show_plan(site: Site, known: str, as_json: bool) -> None:
    from .plan_reading import read

    reading = read(site, known)
    print_result(reading.facts, as_json, lambda: _print_plan(reading))


def _print_plan(reading: Reading) -> None:
    for part in reading.parts:
        output.print(f"[bold]{part.topic}[/]")
        for sentence in part.sentences:
            _line("  " + sentence)
        for warning in part.warnings:
            output.print("  [bold yellow]attention[/]", escape(warning), highlight=False, soft_wrap=True)
    if reading.before is None:
        output.print("[bold]no plan was approved before it[/]")
    else:
        output.print(f"[bold]changes from plan {reading.before[:12]}, approved last[/]")
        for line in [change.sentence for change in reading.changes] or ["nothing"]:
            _line("  " + line)
    output.print(f"[bold]this plan is {reading.standing}[/]")


def approve(folder: Folder, known: Hash, as_json: Json = False) -> None:
    """Say yes to a proposed plan: the run may begin when every site has."""
    from . import decisions

    plan = decisions.approve(site_in(folder), known)
    print_result(
        {"hash": plan.hash, "standing": "approved"}, as_json, lambda: _line(f"approved: {plan.hash}")
    )


def refuse(folder: Folder, known: Hash, reason: Reason, as_json: Json = False) -> None:
    """Say no to a plan for good, or take an approval back: the vault does nothing more for it."""
    from . import decisions

    found = decisions.refuse(site_in(folder), known, reason)
    print_result({"hash": found, "standing": "refused"}, as_json, lambda: _line(f"refused for good: {found}"))


def outbox(
    folder: Folder,
    plan: Annotated[
        str | None, typer.Option(help="Only of this plan: its hash, or the first digits.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only from this day on (UTC): 2027-01-31.")] = None,
    as_json: Json = False,
) -> None:
    """Everything that ever left this site: when, for which plan and step, how many bytes, their hash."""
    from .outbox import Outbox
    from .proposals import Proposals

    if since is not None and not _is_day(since):
        raise ConfigError(f"--since {since!r} is not a day", hint="e.g. 2027-01-31")
    site, wanted = site_in(folder), (plan or "").lower()
    lines = [line for line in Outbox(site.folder).lines() if line.plan.startswith(wanted)]
    if wanted and not lines:
        Proposals(site.folder).find(wanted)  # of a known plan, nothing has left yet
    lines = [line for line in lines if line.time >= (since or "")]
    without_line = _unlisted(site)
    totals: dict[str, dict[str, int]] = {}
    for line in lines:
        total = totals.setdefault(line.kind, {"frames": 0, "bytes": 0})
        total["frames"] += 1
        total["bytes"] += line.bytes
    data = {
        "lines": [line.model_dump() for line in lines],
        "totals": totals,
        "unlisted": without_line,
    }

    def human() -> None:
        _print_outbox(lines, totals)
        tell_unlisted(without_line)

    print_result(data, as_json, human)


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _unlisted(site: Site) -> list[str]:
    """A ledger that cannot be read keeps nobody from seeing what left: ``site budget`` says what it has."""
    from .verification import unlisted

    try:
        return unlisted(site)
    except LedgerError:
        return []


def tell_unlisted(steps: list[str]) -> None:
    """Warn of answers in the ledger that the list of what left does not have."""
    if steps:
        more = f" and {len(steps) - _SHOWN} more" if len(steps) > _SHOWN else ""
        shown = ", ".join(steps[:_SHOWN]) + more
        _line(
            f"attention: the ledger knows answers that are not in the outbox: {shown}; "
            "lines were taken out or moved, or a crash kept the answer from leaving"
        )


def _print_outbox(lines: list[Sent], totals: dict[str, dict[str, int]]) -> None:
    table = _table("time", "kind", "plan", "step", "bytes", "sha256")
    for line in lines:
        table.add_row(line.time, line.kind, line.plan[:12], line.step, f"{line.bytes:,}", line.sha256[:16])
    output.print(table)
    for kind, total in totals.items():
        _line(f"{kind}: {total['frames']} times, {size(total['bytes'])}")
    _line(f"all: {len(lines)} times, {size(sum(line.bytes for line in lines))}")


def log(
    folder: Folder,
    count: Annotated[int, typer.Option("-n", min=1, help="How many lines, the last ones.")] = 50,
    as_json: Json = False,
) -> None:
    """What happened here, for this site's own eyes: it may name rows and columns."""
    from .log_tail import tail

    lines = tail(site_in(folder).folder / "site.log", count)

    def human() -> None:
        for line in lines:
            _line(plain(line))

    print_result({"lines": lines}, as_json, human)


def pause(folder: Folder, reason: Reason, as_json: Json = False) -> None:
    """Answer nothing until `unpause`; runs wait."""
    from . import standing

    standing.pause(site_in(folder).folder, reason)
    print_result({"standing": "paused"}, as_json, lambda: _line("paused"))


def unpause(folder: Folder, as_json: Json = False) -> None:
    """Answer again."""
    from . import standing

    was = standing.unpause(site_in(folder).folder)
    said = "it answers again" if was else "it was not paused"
    print_result({"standing": "active", "was_paused": was}, as_json, lambda: _line(said))


def withdraw(
    folder: Folder,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Leave the federation for good and remove the keys of all runs: this site opens no sum any more."""
    from . import standing

    site = site_in(folder)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise UsageError("withdrawing cannot be undone", hint="add --yes")
        typer.confirm("This site leaves for good, its keys of all runs are removed. Go on?", abort=True)
    removed = standing.withdraw(site.folder, reason)
    said = f"withdrawn; {len(removed)} key files are removed (look for copies of them in backups)"
    data = {"standing": "withdrawn", "removed": [str(path.relative_to(site.folder)) for path in removed]}
    print_result(data, as_json, lambda: _line(said))


def check(
    folder: Folder,
    plan: Annotated[str | None, typer.Option(help="A plan here (its hash), or a file.")] = None,
    data: Annotated[Path | None, typer.Option(help="Look at these records, not at the policy's.")] = None,
    as_json: Json = False,
) -> None:
    """Whether this site could take part: keys, clock, records, budget, machine. Sends nothing."""
    from .preflight import Preflight, first_failure

    findings = Preflight.of(site_in(folder).folder, plan, data).findings()
    failure = first_failure(findings)

    def human() -> None:
        colours = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
        for found in findings:
            verdict = f"[{colours[found.verdict]}]{found.verdict:8}[/]"
            output.print(
                verdict, f"{found.check:11}", escape(plain(found.sentence)), highlight=False, soft_wrap=True
            )
            if found.hint and found.verdict != "ok":
                _line(" " * 21 + "hint  " + plain(found.hint))
        _line("not ready" if failure else "ready")

    result = {"ready": failure is None, "checks": [asdict(found) for found in findings]}
    if failure is None:
        print_result(result, as_json, human)
        return
    print_failure(failure.code, failure.sentence, failure.hint, result, as_json, human)
    raise typer.Exit(exit_code_of(failure.code))


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    return table


def _line(text: str) -> None:
    output.print(text, markup=False, highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add all of them to the command line of a site."""
    for command in (plans, approve, refuse, outbox, log, pause, unpause, withdraw, check):
        app.command()(command)
