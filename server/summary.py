"""Results for people: a few numbers with their baselines, and what to type next."""

from __future__ import annotations

from rich.table import Table

from common.columns import CategoryColumn
from common.schema import TableSchema
from common.terminal import output

from .simulate import Outcome, run_folder


def print_summary(outcome: Outcome) -> None:
    """The report's main figures, where everything lies, and the next command."""
    r = outcome.report
    table = Table(box=None, pad_edge=False)
    for heading in ("", "synthetic", "real", "meaning"):
        table.add_column(heading, style="dim" if heading == "meaning" else None)
    table.add_row("1-way TVD", f"{r['tvd1']:.4f}", f"{r['tvd1_real']:.4f}", "distance to held-out people")
    table.add_row("2-way TVD", f"{r['tvd2']:.4f}", f"{r['tvd2_real']:.4f}", "lower is better")
    if r["tstr_auc"] is not None:
        table.add_row(
            "AUC", f"{r['tstr_auc']:.3f}", f"{r['trtr_auc']:.3f}", "of boosting, on held-out people"
        )
    output.print()
    output.print(table)
    share = "" if r["encryption_share"] is None else f", encryption {r['encryption_share']:.1%} of it"
    output.print(
        f"\nε = {r['epsilon']:.3f}, δ = {r['delta']:g} ({r['unit']}) · {len(r['sites'])} sites, "
        f"any {r['threshold']} of {r['key_holders']} key-holders open a sum\n"
        f"{r['wall_seconds']:.0f} s{share} · upload {r['upload_ratio_float32']:.2f} times float32",
        highlight=False,
    )
    for one in r["trouble"]:
        output.print(f"[yellow]{one['site']}[/] in {one['step']}: {one['code']}", highlight=False)
    output.print("\nEverything lies in", f"[bold]{outcome.folder}/[/]", highlight=False)
    output.print(
        f"  synthetic.csv           {r['records']['synthetic']} records\n"
        "  generator.safetensors   the conditional generator, described by generator.json\n"
        "  report.json             all numbers; docs/report.md says what each means\n"
        f"What the sites would keep (records, keys, ledgers) is in {run_folder(outcome.folder)}/, mode 0700.",
        highlight=False,
    )
    output.print("\nNext:", _next_command(outcome), highlight=False, soft_wrap=True)


def _next_command(outcome: Outcome) -> str:
    wheres = " ".join(f"--where {name}={value}" for name, value in outcome.example.items())
    return f"fedcgan sample --from {outcome.folder} --n 10 {wheres}"


def print_schema(schema: TableSchema) -> None:
    """A schema as a table."""
    table = Table(title=f"{schema.name}  ({schema.hash[:12]})", box=None, pad_edge=False)
    for heading in ("column", "kind", "codes", "missing", "condition", "values"):
        table.add_column(heading)
    for column in schema.columns:
        if isinstance(column, CategoryColumn):
            values = ", ".join(map(str, column.categories))
        else:
            values = f"{column.bounds[0]:g} … {column.bounds[1]:g} {column.unit}"
        flags = ("yes" if flag else "" for flag in (column.missing, column.condition))
        table.add_row(column.name, column.kind, str(column.size), *flags, values)
    output.print(table)
